//! Small trainings, of every kind that keeps a state of its own from step to step.

use super::{Folder, LANGUAGE_MODEL, PAIRS, TRANSFORMER};

/// What the trainings have in common: nothing falls on one step, so that every state is caught between two others.
const TRAIN: &str = "validate_every = 11\ncheckpoint_every = 4\nlog_every = 7\n";

const TRANSFORMER_LM: &str = include_str!("recipes/transformer-lm.toml");

/// Wide enough to compute in bf16.
const BF16: &str = include_str!("recipes/wide-bf16.toml");

/// What goes on from the run `base` takes model and tokenizer from there.
const FURTHER: &str = include_str!("recipes/further.toml");

fn of(recipe: &str) -> String {
    let every = "validate_every = 50\nlog_every = 10\n";
    let recipe = recipe.strip_suffix(every).unwrap_or(recipe);
    format!("{}{TRAIN}", recipe.replace("steps = 200", "steps = 60"))
}

/// Preferences in the characters of the text: a line that goes on as it does there, and one that does not.
pub fn preferences() -> String {
    let line = |i: usize| {
        let (number, color) = (i * 7 % 13, ["red", "green", "blue"][i % 3]);
        format!(
            "{{\"prompt\": \"line {i} says \", \"chosen\": \"{number} and {color}\", \"rejected\": \"{color} {number}\"}}\n"
        )
    };
    (0..100).map(line).collect()
}

/// Writes the recipe of this name, and trains what it begins with; returns the file's name.
pub fn prepare(folder: &Folder, name: &str) -> String {
    let base = ["init", "lora", "distill", "dpo", "dpo-lora", "minimum-risk"].contains(&name);
    let recipe = match name {
        "lstm" => of(LANGUAGE_MODEL),
        "gru-attention" => of(PAIRS),
        "transformer-lm" => of(TRANSFORMER_LM),
        "transformer" => of(&TRANSFORMER.replace("average = 0.99\n", "")),
        "init" => format!("init = \"base\"\n{}", of(FURTHER)),
        "lora" => format!("init = \"base\"\n{}[finetune.lora]\nrank = 2\nalpha = 4.0\n", of(FURTHER)),
        "distill" => {
            let student = "[model]\nkind = \"language-model\"\ncell = \"gru\"\nembedding = 8\nhidden = 16\n";
            format!("{}[distill]\nteacher = \"base\"\n{student}", of(FURTHER))
        }
        "dpo" | "dpo-lora" => {
            folder.write("preferences.jsonl", preferences());
            let further = of(FURTHER).replace("stream = true\n", "").replace("text.txt", "preferences.jsonl");
            let lora = if name == "dpo" { "accumulate = 2\n" } else { "[finetune.lora]\nrank = 2\nalpha = 4.0\n" };
            format!("init = \"base\"\n{further}{lora}[loss]\nkind = \"dpo\"\nsmoothing = 0.1\nlikelihood = 0.5\n")
        }
        "minimum-risk" => {
            folder.write("preferences.jsonl", preferences());
            let further = of(FURTHER).replace("stream = true\n", "columns = [\"prompt\", \"chosen\"]\n");
            let further = further.replace("text.txt", "preferences.jsonl").replace("steps = 60", "steps = 30");
            format!(
                "init = \"base\"\n{further}accumulate = 2\n[loss]\nkind = \"minimum-risk\"\nmetric = \"cer\"\n\
                 samples = 4\nalpha = 0.5\nlikelihood = 0.1\n"
            )
        }
        "accumulate" => format!("{}accumulate = 3\n", of(PAIRS)),
        "weights" => {
            let line = |i: usize| {
                let (weight, answer) = ([0.25, 1.0, 3.0][i % 3], i.to_string().chars().rev().collect::<String>());
                format!("{{\"source\": \"{i}\", \"target\": \"{answer}\", \"w\": {weight}}}\n")
            };
            folder.write("weights.jsonl", (100..500).map(line).collect::<String>());
            let recipe =
                of(PAIRS).replace("train = \"pairs.tsv\"\n", "train = \"weights.jsonl\"\nweight_column = \"w\"\n");
            format!("{recipe}accumulate = 3\n[loss]\nsmoothing = 0.1\n")
        }
        "span-corruption" => {
            let task = "train = \"text.txt\"\ntask = \"span-corruption\"\nmax_length = 9\ncut = true\n";
            format!("{}epochs = 2\n", of(PAIRS).replace("train = \"pairs.tsv\"\n", task))
        }
        "bpe-dropout" => {
            let subwords = "kind = \"bpe\"\nvocabulary = 60\n";
            let recipe = of(PAIRS).replace("kind = \"character\"\n", subwords);
            format!("{}accumulate = 2\n", recipe.replace("[tokenizer]\n", "bpe_dropout = 0.3\n[tokenizer]\n"))
        }
        // Prompts and answers, whose texts are segmented apart.
        "unigram-sampling" => {
            let recipe = of(LANGUAGE_MODEL).replace("text.txt", "pairs.tsv").replace("character", "unigram");
            recipe.replace("stream = true\n", "columns = [0, 1]\nunigram_sampling = 0.3\n")
        }
        "guided" => {
            let line = |i: usize| format!("{i} {}\t{} {i}\t1-0 0-1\tformal\n", i * 7 % 13, i * 7 % 13);
            folder.write("aligned.tsv", (100..400).map(line).collect::<String>());
            let columns = "train = \"aligned.tsv\"\ncolumns = [0, 1]\nalignment_column = 2\n";
            let recipe = of(&TRANSFORMER.replace("average = 0.99\n", "")).replace("train = \"pairs.tsv\"\n", columns);
            let control = "[control]\nregister = [\"formal\"]\ncolumns = { register = 3 }\ndropout = 0.5\n";
            format!("{recipe}guided_alignment = 0.5\naccumulate = 2\n{control}")
        }
        "epochs" => format!("{}epochs = 2\n", of(LANGUAGE_MODEL)).replace("steps = 60", "steps = 1000"),
        "carried" => format!("{}carry_state = true\n", of(LANGUAGE_MODEL)),
        // More shares than streams, and steps that end with the epoch.
        "carried-accumulate" => {
            let recipe =
                of(LANGUAGE_MODEL).replace("lstm", "gru").replace("batch_sentences = 8", "batch_sentences = 3");
            format!("{recipe}carry_state = true\naccumulate = 4\n")
        }
        // The end of the one warm-up, and that of the other, lie between checkpoints; batches wait, and some of them in parts.
        "warmup" => {
            let recipe = of(PAIRS);
            let warmup = "batch_warmup = 33\nbatch_start = 0.2\nlength_warmup = 45\nlength_start = 0.3\n";
            format!("{recipe}accumulate = 2\nepochs = 40\n{warmup}")
        }
        "warmup-chunks" => {
            format!("{}batch_warmup = 33\nlength_warmup = 45\nlength_start = 0.2\n", of(LANGUAGE_MODEL))
        }
        "warmup-carried" => format!("{}carry_state = true\nlength_warmup = 45\n", of(LANGUAGE_MODEL)),
        "plateau" => {
            // Too fast to become better for long.
            let recipe = of(LANGUAGE_MODEL).replace("steps = 60", "steps = 1000").replace("1e-2", "2.0");
            let recipe = recipe.replace("validate_every = 11", "validate_every = 6");
            format!("{recipe}patience = 4\n[schedule]\nkind = \"plateau\"\npatience = 1\nfactor = 0.9\n")
        }
        // All that a validation of texts keeps; sources that are mistyped and misread.
        "several-metrics" => {
            let metrics = "validation_metrics = [\"cer\", \"distinct-2\"]\nvalidation_examples = 6\nvalidation_samples = 2\n\
                           best_metric = \"cer\"\nstop_metrics = [\"distinct-2\", \"cer\"]\npatience = 3\n";
            let noise = "[data.noise]\nocr = 0.1\nkeyboard = 0.1\nlayout = \"qwertz\"\n[tokenizer]\n";
            let recipe = of(PAIRS).replace("[tokenizer]\n", noise).replace("pairs.tsv", "words.tsv");
            folder.write(
                "words.tsv",
                (0..300).map(|i| format!("{i} is before {}\t{}\n", i + 1, i % 7)).collect::<String>(),
            );
            format!("{recipe}{metrics}")
        }
        "keep" => format!("{}keep = 3\n", of(LANGUAGE_MODEL)),
        "average" => format!("{}average = 0.9\n", of(TRANSFORMER_LM)),
        // Its average goes on with the spikes of so high a rate.
        "zclip" => format!("{}clip = {{ zclip = 0.5 }}\n", of(LANGUAGE_MODEL).replace("1e-2", "0.1")),
        "lamb" => format!("{}[optimizer]\nkind = \"lamb\"\n", of(TRANSFORMER_LM)),
        "adafactor" => format!("{}[optimizer]\nkind = \"adafactor\"\n", of(TRANSFORMER_LM)),
        "muon" => format!("{}[optimizer]\nkind = \"muon\"\n", of(TRANSFORMER_LM)),
        "variational" => {
            let every =
                "variational_dropout = true\nrecurrent_dropout = 0.2\nembedding_dropout = 0.1\nword_dropout = 0.1\n";
            of(LANGUAGE_MODEL).replace("dropout = 0.2\n", &format!("dropout = 0.2\n{every}"))
        }
        // What keeps gradients alive in deep recurrent models.
        "deep" => {
            of(LANGUAGE_MODEL).replace(
                "layers = 2\n",
                "layers = 3\nresidual = true\nlayer_norm = true\nrecurrent_init = \"orthogonal\"\nforget_bias = 1.0\n",
            ) + "carry_state = true\nscheduled_sampling = 0.5\n"
        }
        // The last of these steps is reached.
        "scheduled-sampling" => {
            format!("{}scheduled_sampling = 0.7\nscheduled_sampling_steps = 35\n", of(TRANSFORMER))
        }
        // Each step is of all of a short text.
        "lbfgs" => {
            let recipe = of(LANGUAGE_MODEL).replace("dropout = 0.2\n", "").replace("1e-2", "1.0");
            let recipe =
                recipe.replace("layers = 2", "layers = 1").replace("[data]\n", "[data]\nvalidation_share = 0.8\n");
            format!("{recipe}clip = \"none\"\n[optimizer]\nkind = \"lbfgs\"\nhistory_size = 7\n")
        }
        "schedule-free" => format!("{}[optimizer]\nkind = \"adamw-schedule-free\"\n", of(TRANSFORMER_LM)),
        "bf16" => BF16.to_owned(),
        _ => panic!("there is no recipe {name}"),
    };
    let file = format!("{name}.toml");
    folder.write(&file, recipe);
    if base {
        folder.train("lm.toml", "base", 20);
    }
    file
}
