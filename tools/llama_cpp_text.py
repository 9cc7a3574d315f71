#!/usr/bin/env python3
"""What llama.cpp writes after a text, greedily, with a GGUF file:

    descant export runs/NAME model.gguf
    python tools/llama_cpp_text.py model.gguf "Once upon a time" 60
    descant generate runs/NAME --greedy --max-length 60 "Once upon a time"

The last two print the same. Needs llama-cpp-python.
"""
import sys

from llama_cpp import Llama


def main():
    path, text, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    model = Llama(path, n_ctx=512, n_threads=2, verbose=False)
    ids = model.tokenize(text.encode(), add_bos=True)
    written = []
    for token in model.generate(ids, temp=0.0, repeat_penalty=1.0):
        if token == model.token_eos() or len(written) == count:
            break
        written.append(token)
    print(model.detokenize(ids + written).decode(errors="replace").lstrip(" "))
    print(ids + written, file=sys.stderr)


if __name__ == "__main__":
    main()
