"""``mlx:``: models of Apple's MLX, by mlx-vlm."""
