//! The page GENERATION.md: all decoding options, from their table.

use crate::decoding::flag;
use descant_generate::{Group, OPTIONS};
use std::fmt::Write;

const HEAD: &str = "# Decoding options

Written by `descant explain --decoding-options`. Each option is a flag of `descant generate` and `descant eval`, a key of a recipe's `[generation]`, a
field of `GenerationConfig` in the library, and a key of a model's `generation_config.json`, which an import reads and an export writes. Names and
meanings are those of `transformers`' `GenerationConfig` where it has the option; logits processors are applied in its order, on logits in
greedy decoding and sampling, and on log probabilities in a beam search. Values in parentheses are defaults in words.
The `[generation]` of a run's `recipe.toml` may be changed at any time: no weights depend on it.

What differs from `transformers`:

- `max_new_tokens` follows the training; there it is 20. `max_length`, which counts the prompt there, is another name of it here.
- `ranking` of models that are trained here is `gnmt`, with a `length_penalty` of 0.6. Imported models are ranked as there.
- `top_k` has no default; there it is 50. An import of a model that samples takes 50 over.
- `do_sample` is true for models that continue a text, where nothing else is said. What is given on the command line or to `Trained::options` asks for
  it, too: an option of sampling but `seed` means `do_sample = true`, and `num_beams`, `penalty_alpha` or `return_alternatives` means `do_sample = false`, where
  `do_sample` itself is not given. There such an option has no effect without it. (In a recipe's `[generation]` only `do_sample` decides.)
- On the command line, a list of texts is a flag that is repeated, or a list in JSON such as `--stop-strings '[\"a\", \"b\"]'`. In a text that stands
  there outside of JSON, `\\n`, `\\t`, `\\r` and `\\\\` are escapes; another one is an error.
- An option without effect beside the others, such as `mirostat_tau` in a beam search, is an error on the command line.
- Diverse beam search and contrastive search, which its version 5 has no more, are as in its version 4.
- Tokens that no text in training had, such as `<unk>`, are forbidden, and have no share of the probability.
";

/// The page.
pub(crate) fn page() -> String {
    let mut page = HEAD.to_owned();
    for group in [Group::Length, Group::Beam, Group::Sampling, Group::Repetition, Group::Tokens, Group::Control] {
        let _ = write!(page, "\n## {}\n\n| option | takes | default | meaning |\n|---|---|---|---|\n", group.heading());
        for option in OPTIONS.iter().filter(|option| option.group == group) {
            let default = match option.default.starts_with('(') {
                true => option.default.to_owned(),
                false => format!("`{}`", option.default),
            };
            let paper = if option.paper.is_empty() { String::new() } else { format!(" ({})", option.paper) };
            let aliases: Vec<String> = option.aliases.iter().map(|name| format!("`{}`", flag(name))).collect();
            let also = if aliases.is_empty() { String::new() } else { format!(" Also {}.", aliases.join(", ")) };
            let help = option.help().trim_end_matches('.').replace('|', "\\|").replace('*', "\\*");
            let (name, takes) = (option.name, option.value.words());
            let requires = match option.requires {
                "" => String::new(),
                required => format!(" Only with `{required}`."),
            };
            let _ = writeln!(page, "| `{name}` | {takes} | {default} | {help}{paper}.{requires}{also} |");
        }
    }
    page
}
