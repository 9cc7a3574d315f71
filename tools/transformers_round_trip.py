#!/usr/bin/env python3
"""Imports the folders of tools/transformers_models.py into descant, exports them again, and compares in transformers.

    ~/torch/bin/python tools/transformers_round_trip.py [DESCANT [FOLDER …]]

Of each: the largest difference of the logits, and whether greedy texts and those of four beams are the same, after the way
through descant; other folders of transformers, of random or real models, do as well.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers as hf
from transformers_models import generate, INPUTS, SOURCES

ROOT = Path(__file__).parents[1]


def load(folder):
    config = hf.AutoConfig.from_pretrained(folder)
    kind = hf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else hf.AutoModelForCausalLM
    model, info = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, output_loading_info=True)
    lost = {key: names for key, names in info.items() if names}
    return model.eval(), lost


def logits(model):
    with torch.no_grad():
        for source, ids in zip(SOURCES, INPUTS):
            source, ids = torch.tensor([source]), torch.tensor([ids])
            pair = model.config.is_encoder_decoder
            inputs = dict(input_ids=source, decoder_input_ids=ids) if pair else dict(input_ids=ids)
            yield model(**inputs).logits


def main():
    hf.logging.set_verbosity_error()
    torch.set_num_threads(1)
    descant = sys.argv[1] if sys.argv[1:] else ROOT / "target/release/descant"
    reference = ROOT / "crates/interop/tests/reference"
    folders = sys.argv[2:] or sorted(path.parent for path in reference.glob("*/reference.safetensors") if (path.parent / "config.json").exists())
    for folder in map(Path, folders):
        with tempfile.TemporaryDirectory() as place:
            run = lambda *args: subprocess.run([descant, *map(str, args)], check=True, capture_output=True, text=True)
            notes = run("import", folder, "--run", f"{place}/run").stderr.strip()
            said = run("export", f"{place}/run", f"{place}/out").stdout.strip().split(":")[0]
            (before, _), (after, lost) = load(folder), load(f"{place}/out")
            apart = max((a - b).abs().max().item() for a, b in zip(logits(before), logits(after)))
            prompts = [[1, 5, 9, 3], [1, 21], [1, 8, 8, 11, 20, 6]]
            texts = [torch.equal(generate(before, prompts, n), generate(after, prompts, n)) for n in (1, 4)]
            print(f"{folder.name}: {said}; logits {apart:.1e}; texts {texts}; {lost or 'nothing lost'} {notes}")


if __name__ == "__main__":
    main()
