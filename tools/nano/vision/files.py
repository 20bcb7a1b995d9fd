"""The files of nano-vision in the published layout, and its tokenizer."""
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))
import scenes  # noqa: E402
from chat import TEMPLATES  # noqa: E402
from checkpoint import write_json, write_safetensors  # noqa: E402
from model import MEAN, STD  # noqa: E402
