"""An upload: received in bounded pieces, checked, stored, and made a job."""
