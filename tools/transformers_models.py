#!/usr/bin/env python3
"""Writes crates/interop/tests/reference/*: tiny random models of Hugging Face families, with their logits, gradients and texts.

    python3 -m venv ~/torch && ~/torch/bin/pip install torch transformers safetensors numpy
    ~/torch/bin/python tools/transformers_models.py [NAME …]

Each folder is one that `from_pretrained` loads, and beside it a reference.safetensors: sequences, logits, the gradients of
the mean cross entropy, and what is generated, all under transformers' own names. Generated are the ids after the first one
(the beginning, or the decoder's start), greedily and by four beams without a length penalty, nothing suppressed.
"""
import shutil
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
import transformers as hf
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

VOCABULARY = 24
# Texts to generate, of so many tokens.
TEXTS, LONGEST = 20, 12
COMMON = dict(vocab_size=VOCABULARY, bos_token_id=1, eos_token_id=2, pad_token_id=0)
LLAMA = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=64, **COMMON)
DEEP = LLAMA | dict(num_hidden_layers=3)
GEMMA = DEEP | dict(head_dim=8)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16, rope_theta=1000.0)
LOCAL = dict(sliding_attention=dict(rope_type="default", rope_theta=100.0),
             full_attention=dict(rope_type="linear", factor=2.0, rope_theta=1000.0))
T5 = dict(d_model=12, d_kv=4, d_ff=14, num_heads=3, num_layers=2, num_decoder_layers=2, decoder_start_token_id=1,
          dropout_rate=0.0, relative_attention_num_buckets=8, relative_attention_max_distance=12, **COMMON)
BART = dict(d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2,
            encoder_ffn_dim=20, decoder_ffn_dim=20, max_position_embeddings=32, decoder_start_token_id=1,
            forced_eos_token_id=None, **COMMON)
MODELS = {
    "gpt2": lambda: hf.GPT2LMHeadModel(hf.GPT2Config(n_embd=16, n_layer=2, n_head=2, n_positions=32, **COMMON)),
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA)),
    "llama3": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(rope_parameters=LLAMA3, tie_word_embeddings=True, **LLAMA)),
    "smollm": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(tie_word_embeddings=True, **(LLAMA | dict(
        hidden_size=18, num_attention_heads=3, num_key_value_heads=1)))),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(sliding_window=3, head_dim=6, **LLAMA)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(tie_word_embeddings=True, **LLAMA)),
    "qwen2-windows": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(
        use_sliding_window=True, sliding_window=3, max_window_layers=1, **LLAMA)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(head_dim=6, **LLAMA)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**(GEMMA | dict(num_hidden_layers=2)))),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(
        sliding_window=3, query_pre_attn_scalar=10, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, **GEMMA)),
    "gemma3": lambda: hf.Gemma3ForCausalLM(hf.Gemma3TextConfig(
        sliding_window=3, query_pre_attn_scalar=10, rope_parameters=LOCAL,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], **GEMMA)),
    "olmo2": lambda: hf.Olmo2ForCausalLM(hf.Olmo2Config(**LLAMA)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(sliding_window=4, **LLAMA)),
    "marian": lambda: hf.MarianMTModel(hf.MarianConfig(
        activation_function="swish", scale_embedding=True, static_position_embeddings=True, **BART)),
    "bart": lambda: hf.BartForConditionalGeneration(hf.BartConfig(**BART)),
    "mbart": lambda: hf.MBartForConditionalGeneration(hf.MBartConfig(scale_embedding=True, **BART)),
    "t5": lambda: hf.T5ForConditionalGeneration(hf.T5Config(feed_forward_proj="relu", **T5)),
    "t5-gated": lambda: hf.T5ForConditionalGeneration(hf.T5Config(feed_forward_proj="gated-gelu", **T5)),
    # Version 1.1 as it is saved anew, without a scale; Flan with a head of its own; mT5.
    "t5-v1.1": lambda: hf.T5ForConditionalGeneration(hf.T5Config(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5)),
    "t5-flan": lambda: apart(hf.T5ForConditionalGeneration(hf.T5Config(
        feed_forward_proj="gated-gelu", tie_word_embeddings=False, **T5))),
    "mt5": lambda: apart(hf.MT5ForConditionalGeneration(hf.MT5Config(**T5))),
}
SOURCES = [[5, 9, 3, 17, 2], [4, 2], [8, 8, 11, 20, 6, 13, 10, 2]]
INPUTS = [[1, 7, 12, 3], [1, 21, 5, 19, 6, 6, 14, 9, 4, 10], [1]]
TARGETS = [[7, 12, 3, 2], [21, 5, 19, 6, 6, 14, 9, 4, 10, 2], [2]]


def apart(model):
    """With an output projection of its own."""
    model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
    return model


def ragged(lists):
    width = max(map(len, lists))
    return torch.tensor([ids + [-1] * (width - len(ids)) for ids in lists], dtype=torch.int32)


def tokenizer(path):
    words = ["<unk>", "<s>", "</s>"] + [f"w{i}" for i in range(3, VOCABULARY)]
    inner = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.save(str(path / "tokenizer.json"))


def draw(model):
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "norm" in key or "ln_" in key:
                parameter.add_(0.1 * torch.randn_like(parameter))
            elif "embed_positions" not in key or model.config.model_type in ("bart", "mbart"):
                parameter.copy_(0.3 * torch.randn_like(parameter))
        if hasattr(model, "final_logits_bias"):
            model.final_logits_bias.copy_(0.3 * torch.randn_like(model.final_logits_bias))


def generate(model, prompts, beams):
    """The ids that follow each prompt, one at a time."""
    pair, texts = model.config.is_encoder_decoder, []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=beams, max_new_tokens=LONGEST,
            length_penalty=0.0, early_stopping=False, use_cache=False)[0].tolist()
        texts.append(out[1 if pair else len(prompt):])
    return ragged([text + [-1] * (LONGEST - len(text)) for text in texts])


def main():
    root = Path(__file__).parents[1] / "crates/interop/tests/reference"
    torch.set_num_threads(1)
    for name, make in MODELS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        torch.manual_seed(3)
        model = make().eval()
        draw(model)
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        model.save_pretrained(folder)
        saved = load_file(folder / "model.safetensors")
        # As it is loaded again, which is what counts.
        model = hf.AutoModelForSeq2SeqLM if model.config.is_encoder_decoder else hf.AutoModelForCausalLM
        model = model.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
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
        gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
        if model.config.model_type == "marian":
            gradients = {key: gradient for key, gradient in gradients.items() if "embed_positions" not in key}
        tensors |= {f"gradient.{key}": gradient for key, gradient in gradients.items()}
        draws = torch.Generator().manual_seed(5)
        prompts = [torch.randint(3, VOCABULARY, (1 + i % 7,), generator=draws).tolist() for i in range(TEXTS)]
        prompts = [ids + [2] for ids in prompts] if pair else [[1] + ids for ids in prompts]
        tensors |= {"prompt": ragged(prompts), "greedy": generate(model, prompts, 1), "beams": generate(model, prompts, 4)}
        tokenizer(folder)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, folder / "reference.safetensors")
        size = sum(f.stat().st_size for f in folder.iterdir())
        print(f"{name}: transformers {hf.__version__}, loss {loss.item():.4f}, {size} bytes,",
              f"{len(saved)} tensors, {len(gradients)} gradients")


if __name__ == "__main__":
    main()
