#!/usr/bin/env python3
"""Writes crates/interop/tests/reference/*: tiny random models of Hugging Face families, with their logits and gradients.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch transformers safetensors numpy
    ~/torch/bin/python tools/transformers_models.py

Each folder is one that `from_pretrained` loads, and beside it a reference.safetensors: sequences, logits, and the
gradients of the mean cross entropy, all float32, under transformers' own names.
"""
import shutil
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers as hf
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers

VOCABULARY = 24
COMMON = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, **COMMON)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16, rope_theta=1000.0)
T5 = dict(d_model=12, d_kv=4, d_ff=14, num_heads=3, num_layers=2, num_decoder_layers=2, decoder_start_token_id=1,
          dropout_rate=0.0, relative_attention_num_buckets=8, relative_attention_max_distance=12, **COMMON)
MODELS = {
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=12, **COMMON)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA)),
    "llama3": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(rope_parameters=LLAMA3, tie_word_embeddings=True, **LLAMA)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(tie_word_embeddings=True, **LLAMA)),
    "marian": lambda: hf.MarianMTModel(hf.MarianConfig(
        d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=20, decoder_ffn_dim=20, activation_function="swish", scale_embedding=True,
        max_position_embeddings=32, decoder_start_token_id=1, static_position_embeddings=True, **COMMON)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(feed_forward_proj="relu", **T5)),
    "t5-gated": lambda: hf.T5ForConditionalGeneration(hf.T5Config(feed_forward_proj="gated-gelu", **T5)),
}
SOURCES = [[5, 9, 3, 17, 2], [4, 2], [8, 8, 11, 20, 6, 13, 10, 2]]
INPUTS = [[1, 7, 12, 3], [1, 21, 5, 19, 6, 6, 14, 9, 4, 10], [1]]
TARGETS = [[7, 12, 3, 2], [21, 5, 19, 6, 6, 14, 9, 4, 10, 2], [2]]


def ragged(lists):
    width = max(map(len, lists))
    return torch.tensor([ids + [-1] * (width - len(ids)) for ids in lists], dtype=torch.int32)


def tokenizer(path):
    words = ["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(3, VOCABULARY)]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(path / "tokenizer.json"))


def main():
    root = Path(__file__).parents[1] / "crates/interop/tests/reference"
    for name, make in MODELS.items():
        torch.manual_seed(3)
        model = make().eval()
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if "norm" in key or "ln_" in key:
                    parameter.add_(0.1 * torch.randn_like(parameter))
                elif "embed_positions" not in key:
                    parameter.copy_(0.3 * torch.randn_like(parameter))
            if hasattr(model, "final_logits_bias"):
                model.final_logits_bias.copy_(0.3 * torch.randn_like(model.final_logits_bias))
        pair = model.config.is_encoder_decoder
        logits = []
        for source, start in zip(SOURCES, INPUTS):
            ids = torch.tensor([start])
            inputs = dict(input_ids=torch.tensor([source]), decoder_input_ids=ids) if pair else dict(input_ids=ids)
            logits.append(model(**inputs).logits[0])
        logits = torch.cat(logits)
        loss = F.cross_entropy(logits, torch.tensor([id for ids in TARGETS for id in ids]))
        loss.backward()
        tensors = {"source": ragged(SOURCES), "input": ragged(INPUTS), "target": ragged(TARGETS)}
        tensors |= {"logits": logits.detach(), "loss": loss.detach()}
        tensors |= {f"gradient.{key}": p.grad for key, p in model.named_parameters() if p.grad is not None}
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        tokenizer(folder)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "reference.safetensors")
        print(name, f"transformers {hf.__version__}, loss {loss.item():.4f}", sum(f.stat().st_size for f in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main()
