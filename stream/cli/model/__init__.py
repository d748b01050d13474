"""`ember model`: show, compare, deploy, sign and import bundles."""
