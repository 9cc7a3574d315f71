#!/usr/bin/env python3
"""Holds imports of OPUS-MT folders against transformers: ids and translations of 200 sentences, by a random Marian whose
SentencePiece models are trained on two texts.

    ~/torch/bin/python tools/opus_mt.py train.en train.de target/release/descant

Four folders: one vocabulary and two, weights as pytorch_model.bin and as safetensors. Nothing is forbidden on either side but what
generation_config.json forbids.
"""
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import sentencepiece
import torch
import transformers as hf


@torch.no_grad()
def main(source, target, descant):
    torch.set_num_threads(1)
    work = Path(tempfile.mkdtemp())
    lines = [Path(path).read_text().splitlines() for path in (source, target)]
    # An empty line stays empty in descant.
    hard = ["a", "  two   spaces ", "漢字 and é", "ﬁne ½ №", ">>deu<< A dog", "TAB\there", "123,456.78 €", "x" * 60, "e\u0301", "“quoted”"]
    texts = hard + lines[0][:190]
    for apart in (False, True):
        folder = work / f"apart{apart}"
        folder.mkdir()
        pieces = []
        for side, text, size in (("source", lines[0], 1800), ("target", lines[1], 1500)):
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=iter(text[:10000]), model_prefix=str(folder / side), vocab_size=size, minloglevel=2)
            (folder / f"{side}.model").rename(folder / f"{side}.spm")
            processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / f"{side}.spm"))
            pieces.append([processor.id_to_piece(i) for i in range(3, size)])
        def numbered(all_pieces, extra):
            # Some pieces have no id.
            all_pieces = sorted(set(all_pieces) - set(all_pieces[5::200]))
            random.Random(1).shuffle(all_pieces)
            return {token: i for i, token in enumerate(["</s>", "<unk>", *all_pieces, *extra, "<pad>"])}
        vocab = numbered(pieces[0] if apart else pieces[0] + pieces[1], [">>deu<<"])
        other = numbered(pieces[1], []) if apart else vocab
        json.dump(vocab, open(folder / "vocab.json", "w"))
        if apart:
            json.dump(other, open(folder / "target_vocab.json", "w"))
        pad = other["<pad>"]
        torch.manual_seed(7)
        model = hf.MarianMTModel(hf.MarianConfig(
            vocab_size=len(vocab), decoder_vocab_size=len(other), d_model=32, encoder_layers=2, decoder_layers=2,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64,
            activation_function="swish", scale_embedding=True, max_position_embeddings=256, decoder_start_token_id=pad,
            pad_token_id=pad, bos_token_id=0, eos_token_id=0, share_encoder_decoder_embeddings=not apart,
            forced_eos_token_id=None)).eval()
        for key, parameter in model.named_parameters():
            if "embed_positions" not in key and "norm" not in key:
                parameter.copy_((0.6 if "embed" in key or "shared" in key else 0.4) * torch.randn_like(parameter))
        json.dump(dict(source_lang="en", target_lang="de", separate_vocabs=apart, tokenizer_class="MarianTokenizer"),
                  open(folder / "tokenizer_config.json", "w"))
        json.dump(dict(decoder_start_token_id=pad, eos_token_id=0, pad_token_id=pad), open(folder / "generation_config.json", "w"))
        model.config.to_json_file(folder / "config.json")
        tokenizer = hf.MarianTokenizer.from_pretrained(folder)
        ids = [tokenizer(text).input_ids for text in texts]
        written = {}
        for beam in (1, 4):
            # The first token is what decoding starts with, which a tokenizer of two vocabularies does not know as special.
            written[beam] = [tokenizer.decode(model.generate(
                input_ids=torch.tensor([i]), max_new_tokens=20, num_beams=beam, do_sample=False, early_stopping=False,
                **({"length_penalty": 0.0} if beam > 1 else {}))[0][1:], skip_special_tokens=True, use_source_tokenizer=False) for i in ids]
        (work / "texts").write_text("\n".join(texts) + "\n")
        for form in ("bin", "safetensors"):
            if form == "bin":
                torch.save(model.state_dict(), folder / "pytorch_model.bin")
            else:
                (folder / "pytorch_model.bin").unlink()
                model.save_pretrained(folder)
            run = work / f"run{apart}{form}"
            subprocess.run([descant, "import", folder, "--run", run], check=True, stdout=subprocess.DEVNULL)
            for beam, options in ((1, ["--greedy"]), (4, ["--beam", "4", "--length-penalty", "0"])):
                output = subprocess.run([descant, "generate", run, *options, "--max-length", "20", "--input", work / "texts"],
                                        check=True, capture_output=True, text=True).stdout.splitlines()
                same = sum(a.strip() == b for a, b in zip(output, written[beam], strict=True))
                other_ones = [(t, a, b) for t, a, b in zip(texts, output, written[beam]) if a.strip() != b]
                print(f"two vocabularies {apart}, {form}, beam {beam}: {same} of {len(texts)} equal", other_ones[:2])
            back = work / f"back{apart}{form}"
            subprocess.run([descant, "export", run, back], check=True, stdout=subprocess.DEVNULL)
            theirs, again = hf.MarianTokenizer.from_pretrained(back), hf.MarianMTModel.from_pretrained(back).eval()
            same_ids = sum(theirs(text).input_ids == i for text, i in zip(texts, ids))
            same = sum(theirs.decode(again.generate(
                input_ids=torch.tensor([i]), max_new_tokens=20, num_beams=1, do_sample=False)[0][1:], skip_special_tokens=True,
                use_source_tokenizer=False) == text for i, text in zip(ids, written[1]))
            print(f"exported again: ids of {same_ids} of {len(texts)} equal, texts of {same}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
