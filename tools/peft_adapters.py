#!/usr/bin/env python3
"""LoRA adapters of PEFT: the references of the tests, and a comparison in both directions.

    python3 -m venv ~/peers && ~/peers/bin/pip install torch transformers peft safetensors
    ~/peers/bin/python tools/peft_adapters.py              # writes crates/interop/tests/reference/peft-*
    ~/peers/bin/python tools/peft_adapters.py --compare [DESCANT]

The comparison, for models of tools/transformers_models.py: an adapter that PEFT drew comes in on top of its model and goes out
merged; adapters that descant trained go out, and `PeftModel.from_pretrained` adds them to the model that training began from.
Of each, the largest difference of the logits.
"""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers as hf
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers_models import INPUTS, SOURCES, ragged

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "crates/interop/tests/reference"
# With a table and the output; by the root of the rank, with ranks and alphas of their own, and without a task; layers that are
# [in, out]; fused ones; of pairs.
ADAPTERS = {
    "llama": dict(r=3, lora_alpha=5, target_modules=["q_proj", "v_proj", "gate_proj", "down_proj", "lm_head",
                                                     "embed_tokens"]),
    "qwen3": dict(r=2, lora_alpha=8, use_rslora=True, target_modules=["k_proj", "o_proj", "up_proj"],
                  rank_pattern={"k_proj": 3}, alpha_pattern={"layers.1.mlp.up_proj": 3}),
    "gpt2": dict(r=2, lora_alpha=4, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True),
    "phi3": dict(r=2, lora_alpha=2, target_modules=["qkv_proj", "gate_up_proj"]),
    "bart": dict(r=2, lora_alpha=3, target_modules=["q_proj", "fc1", "decoder.layers.1.encoder_attn.v_proj"]),
}


def base(folder):
    config = hf.AutoConfig.from_pretrained(folder)
    kind = hf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else hf.AutoModelForCausalLM
    return kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()


def logits(model):
    pair, all = model.config.is_encoder_decoder, []
    with torch.no_grad():
        for source, ids in zip(SOURCES, INPUTS):
            source, ids = torch.tensor([source]), torch.tensor([ids])
            inputs = dict(input_ids=source, decoder_input_ids=ids) if pair else dict(input_ids=ids)
            all.append(model(**inputs).logits[0])
    return torch.cat(all)


def adapted(name):
    """A model with factors that are drawn, not zero."""
    torch.manual_seed(11)
    model = base(REFERENCE / name)
    task = None if name == "qwen3" else "SEQ_2_SEQ_LM" if model.config.is_encoder_decoder else "CAUSAL_LM"
    model = get_peft_model(model, LoraConfig(task_type=task, **ADAPTERS[name])).eval()
    # No path of this machine.
    model.peft_config["default"].base_model_name_or_path = name
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


def write():
    for name in ADAPTERS:
        folder = REFERENCE / f"peft-{name}"
        shutil.rmtree(folder, ignore_errors=True)
        model = adapted(name)
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        tensors = {"source": ragged(SOURCES), "input": ragged(INPUTS), "logits": logits(model).contiguous()}
        save_file(tensors, folder / "reference.safetensors")
        print(name, sum(file.stat().st_size for file in folder.iterdir()), "bytes")


TRAINING = """
init = "{run}"

[data]
train = {data}
validation_share = 0.2
stream = false

[finetune]
lora = {{ rank = 2, alpha = 5.0 }}

[optimizer]
kind = "adamw"

[train]
steps = 20
learning_rate = 0.02
"""


def compare(descant):
    def run(*words):
        done = subprocess.run([descant, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr}")

    for name in ADAPTERS:
        with tempfile.TemporaryDirectory() as place:
            place = Path(place)
            model = adapted(name)
            model.save_pretrained(place / "adapter")
            run("import", place / "adapter", "--base", REFERENCE / name, "--run", place / "in")
            run("export", place / "in", place / "merged")
            apart = (logits(model) - logits(base(place / "merged"))).abs().max().item()
            run("import", REFERENCE / name, "--run", place / "base")
            words = [f"w{3 + i * 7 % 20} w{3 + i * 5 % 20} w{3 + i * 3 % 20}" for i in range(60)]
            (place / "text").write_text("\n".join(words) + "\n")
            data = f'"{place}/text"'
            if model.config.is_encoder_decoder:
                data = f'["{place}/text", "{place}/text"]'
            (place / "lora.toml").write_text(TRAINING.format(run=place / "base", data=data))
            run("train", place / "lora.toml", "--run", place / "lora", "--quiet")
            run("export", place / "lora", place / "out", "--adapter")
            run("export", place / "lora", place / "whole")
            loaded = PeftModel.from_pretrained(base(REFERENCE / name), place / "out").eval()
            whole = logits(base(place / "whole"))
            moved = (logits(base(REFERENCE / name)) - whole).abs().max().item()
            out = (logits(loaded) - whole).abs().max().item()
            run("import", place / "out", "--base", REFERENCE / name, "--run", place / "again")
            run("export", place / "again", place / "again-whole")
            again = (logits(base(place / "again-whole")) - whole).abs().max().item()
            print(f"{name}: in {apart:.1e}; out {out:.1e}, and in again {again:.1e} (training moved them by {moved:.2f})", flush=True)


if __name__ == "__main__":
    hf.logging.set_verbosity_error()
    hf.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--compare"]:
        compare(sys.argv[2] if sys.argv[2:] else ROOT / "target/release/descant")
    else:
        write()
