"""Reads and writes checkpoints in the published layout, safetensors with bfloat16 weights, without any library."""

import json
import struct
from pathlib import Path

import torch

from model import create_model


def write_safetensors(path, tensors):
    """Writes `{name: tensor}` as bfloat16."""
    header, blobs, offset = {'__metadata__': {'format': 'pt'}}, [], 0
    for name in sorted(tensors):
        data = tensors[name].detach().to(torch.bfloat16).contiguous().view(torch.int16).numpy().tobytes()
        header[name] = {'dtype': 'BF16', 'shape': list(tensors[name].shape), 'data_offsets': [offset, offset + len(data)]}
        blobs.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(',', ':')).encode('utf-8')
    text += b' ' * (-len(text) % 8)
    with open(path, 'wb') as file:
        file.write(struct.pack('<Q', len(text)) + text + b''.join(blobs))


def read_safetensors(path):
    """The bfloat16, float32 and int32 tensors of a safetensors file as `{name: float32 tensor}`; others are left out."""
    data = bytearray(Path(path).read_bytes())
    length = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + length])
    dtypes = {'BF16': torch.bfloat16, 'F32': torch.float32, 'I32': torch.int32}
    tensors = {}
    for name, entry in header.items():
        if name == '__metadata__':
            continue
        begin, end = entry['data_offsets']
        dtype = dtypes.get(entry['dtype'])
        if dtype is None:
            continue
        flat = torch.frombuffer(data, dtype=dtype, offset=8 + length + begin,
                                count=(end - begin) // torch.tensor([], dtype=dtype).element_size())
        tensors[name] = flat.reshape(entry['shape']).float()
    return tensors


def write_json(path, contents):
    Path(path).write_text(json.dumps(contents, indent=2, ensure_ascii=False) + '\n', encoding='utf-8')


def write_checkpoint(folder, model, tokenizer, tokenizer_config, generation_config):
    """Writes a folder that any loader of the published layout reads; configurations are the contents of the files."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(folder / 'model.safetensors', model.state_dict())
    write_json(folder / 'config.json', model.config)
    write_json(folder / 'generation_config.json', generation_config)
    write_json(folder / 'tokenizer_config.json', tokenizer_config)
    (folder / 'tokenizer.json').write_text(json.dumps(tokenizer, ensure_ascii=False, separators=(',', ':')) + '\n',
                                           encoding='utf-8')


def load_model(folder):
    """The model of a checkpoint folder, in float32, ready to generate."""
    config = json.loads((Path(folder) / 'config.json').read_text(encoding='utf-8'))
    model = create_model(config)
    wanted = model.state_dict().keys()  # files of Phi-3-small may also hold rotary frequencies and the tied head
    tensors = read_safetensors(Path(folder) / 'model.safetensors')
    model.load_state_dict({name: tensors[name] for name in wanted})
    return model.eval()
