"""Encoders from folders of the datasource in the layout of a hub's repository: JSON by allow-list, safetensors only."""
