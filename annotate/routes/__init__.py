"""The addresses of the server, by job; `clients*` are those of MONAI Label that other programs use."""
