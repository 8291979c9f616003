"""Plain English names for colours."""

import numpy as np

from mondrian.measurements.views import Plane

# Each name with its CIELAB lightness, chroma and hue in degrees.
NAMED = {
    "crimson": (40, 66, 20),
    "red": (48, 80, 35),
    "deep red": (30, 50, 30),
    "maroon": (20, 32, 25),
    "brick red": (45, 48, 36),
    "rust": (45, 55, 52),
    "terracotta": (55, 45, 50),
    "coral": (68, 55, 38),
    "salmon": (74, 38, 42),
    "orange": (66, 78, 62),
    "deep orange": (57, 78, 50),
    "burnt orange": (50, 62, 58),
    "amber": (76, 78, 76),
    "apricot": (81, 36, 65),
    "peach": (86, 24, 62),
    "golden yellow": (82, 80, 85),
    "yellow": (92, 85, 98),
    "pale yellow": (94, 35, 98),
    "cream": (95, 14, 92),
    "ochre": (60, 52, 75),
    "mustard": (66, 62, 88),
    "sand": (78, 22, 82),
    "tan": (68, 25, 72),
    "beige": (86, 14, 85),
    "caramel": (56, 42, 66),
    "brown": (36, 32, 60),
    "light brown": (52, 26, 66),
    "dark brown": (21, 18, 58),
    "chestnut": (32, 38, 45),
    "taupe": (46, 11, 70),
    "khaki": (62, 28, 98),
    "olive": (46, 36, 104),
    "dark olive": (28, 22, 104),
    "moss green": (52, 32, 116),
    "yellow green": (76, 62, 114),
    "lime green": (82, 90, 125),
    "grass green": (55, 56, 130),
    "green": (50, 52, 142),
    "deep green": (30, 32, 142),
    "forest green": (22, 18, 140),
    "sage green": (68, 16, 130),
    "pale green": (88, 28, 138),
    "mint": (86, 24, 162),
    "emerald": (58, 52, 158),
    "jade": (56, 32, 166),
    "teal": (46, 28, 196),
    "deep teal": (27, 18, 204),
    "turquoise": (76, 38, 188),
    "cyan": (86, 46, 200),
    "pale blue": (86, 14, 245),
    "sky blue": (74, 28, 250),
    "azure": (62, 44, 262),
    "steel blue": (54, 22, 256),
    "slate blue": (38, 16, 264),
    "blue": (42, 58, 280),
    "bright blue": (50, 68, 284),
    "deep blue": (26, 44, 288),
    "navy blue": (15, 26, 284),
    "indigo": (24, 50, 300),
    "violet": (42, 72, 310),
    "purple": (34, 56, 322),
    "deep purple": (18, 32, 318),
    "lavender": (78, 24, 302),
    "lilac": (70, 28, 318),
    "mauve": (56, 24, 330),
    "plum": (34, 32, 340),
    "magenta": (54, 84, 334),
    "fuchsia": (50, 76, 348),
    "hot pink": (62, 68, 356),
    "pink": (78, 32, 2),
    "pale pink": (88, 14, 12),
    "dusty pink": (66, 22, 14),
    "rose": (56, 52, 10),
    "burgundy": (24, 36, 8),
    "raspberry": (40, 58, 4),
}
GREYS = ((8, "black"), (24, "charcoal"), (42, "dark grey"), (66, "grey"), (88, "light grey"))
GREYEST = 9.0
NEUTRAL = 3.0


def name_colour(lab: Plane) -> str:
    """Return the name of a CIELAB colour: a grey below a chroma of 9, warm or cool where it leans.

    Any other colour takes the name that lies nearest by CIEDE2000 (CIE 142, 2001).
    """
    from skimage.color import deltaE_ciede2000, lch2lab

    light, a, b = (float(value) for value in lab)
    chroma = float(np.hypot(a, b))
    if chroma < GREYEST or light < GREYS[0][0]:
        return _name_grey(light, chroma, a, b)
    lch = np.array(list(NAMED.values()), float) * (1, 1, np.pi / 180)
    named = lch2lab(lch)
    distances = deltaE_ciede2000(  # type: ignore[no-untyped-call]
        np.broadcast_to(lab, named.shape), named
    )
    return list(NAMED)[int(np.argmin(distances))]


def _name_grey(light: float, chroma: float, a: float, b: float) -> str:
    name = next((name for limit, name in GREYS if light < limit), "white")
    if chroma < NEUTRAL or name == "black":
        return name
    warm = a + b > 0
    if name == "white":
        return "warm white" if warm else "cool white"
    return f"{'warm' if warm else 'cool'} {name}"
