"""Writes the JSON Schema of `results.json`: `python -m evalsuite.records.json_schema`, or `make schema`."""

import json
import sys
from typing import Final

from evalsuite.records.schema import SCHEMA, Results

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> str:
    """The JSON Schema, as the text of a file: what a file of this schema has, more keys being allowed everywhere."""
    described = {"$schema": _DIALECT, "$id": SCHEMA, **Results.model_json_schema()}
    return json.dumps(described, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(json_schema())
