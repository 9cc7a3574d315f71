//! Every key is defined and read, and errors name it.

use super::keys::{self, ValueType};
use super::*;
use descant_generate::OPTIONS;
use descant_hyperparameters::ClippingConfig;
use std::collections::BTreeSet;

const PAIRS: &str = "[data]\ntrain = \"pairs.tsv\"\n[model]\nkind = \"encoder-decoder\"\n";
const TEXT: &str = "[data]\ntrain = \"text.txt\"\n[model]\nkind = \"language-model\"\n";
const TRANSFORMER: &str = "[data]\ntrain = \"text.txt\"\nstream = true\n[model]\nkind = \"language-model\"\n\
                           decoder = \"transformer\"\n";

fn read(text: &str, settings: &[&str]) -> Result<Recipe, String> {
    let settings: Vec<String> = settings.iter().map(|setting| (*setting).to_owned()).collect();
    Recipe::parse(text, &settings)
}

fn wrong(text: &str, settings: &[&str], parts: &[&str]) {
    let said = read(text, settings).unwrap_err();
    assert!(parts.iter().all(|part| said.contains(part)), "{said:?} does not say {parts:?}");
}

/// The names of all values of a table.
fn names(table: &toml::Table, prefix: &str, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        match value {
            toml::Value::Table(inner) if keys::find(&name).is_none() => names(inner, &format!("{name}."), found),
            _ => drop(found.insert(name)),
        }
    }
}

/// All decoding options that the recipe below does not have, or has by a name that they had before.
fn generation() -> String {
    use descant_generate::ValueType::{BiasedSequences, Choice, Integer, Number, StartAndFactor, TokenSequences};
    let value = |of| match of {
        Integer(range) | Number(range) => (range.min.clamp(0.0, 9.0).ceil() as u64).to_string(),
        Choice(words) => format!("{:?}", words[0]),
        BiasedSequences => "[[[1, 2], -1.5]]".to_owned(),
        StartAndFactor => "[3, 1.5]".to_owned(),
        TokenSequences => "[[3, 4]]".to_owned(),
        descant_generate::ValueType::Texts => "[\".\"]".to_owned(),
        descant_generate::ValueType::TokenIds => "[7]".to_owned(),
        _ => "true".to_owned(),
    };
    let given = ["length_penalty", "temperature", "top_k", "top_p"];
    let others = OPTIONS.iter().filter(|option| option.aliases.is_empty() && !given.contains(&option.name));
    others.map(|option| format!("{} = {}\n", option.name, value(option.value))).collect()
}

/// One recipe with every table, for each kind.
fn every() -> Vec<Recipe> {
    let all = "init = \"base\"\n[bench]\nvocabulary = 9\nbatch = 1\nlength = 2\n[data]\ntrain = \"a.tsv\"\n\
        validation = \"b.tsv\"\ncolumns = [0, 2]\nshuffle = \"blocks\"\nweight_column = 3\nalignment_column = 4\ncut = true\ntask = \"span-corruption\"\ncorruption_rate = 0.2\nmean_span = 2.0\nweights = [1.0]\ntemperature = 2.0\nbpe_dropout = 0.1\nunigram_sampling = 0.2\nchat_template = \"c\"\n[data.filter]\nmax_characters = 9\nlength_ratio = 3.0\n\
        source_script = \"latin\"\ntarget_script = \"han\"\n[data.noise]\nswap = 3\n[control]\nATTRIBUTE = [\"a\"]\ncolumns = { ATTRIBUTE = 1 }\n[tokenizer]\nadd = [\"<a>\"]\nvocabulary_file = \"w\"\n\
        [tokenizer.special]\nunknown = 0\nbeginning = 1\nend = [2, 5]\nentries = 9\npieces_apart = true\nsentencepiece = true\n\
        [tokenizer.special.around]\nbefore = [1]\nafter = []\n[target_tokenizer]\nkind = \"word\"\n\
        [finetune]\ntrain = [\"a\"]\nfreeze = [\"b\"]\nrates = { c = 2.0 }\n\
        [finetune.lora]\nrank = 2\nalpha = 2.0\ntargets = [\"d\"]\n[distill]\nteacher = \"t\"\nchecksum = 4\n\
        [vectors]\nsource = \"s.vec\"\ntarget = \"t.vec\"\n[train]\nsteps = 3\nguided_alignment = 0.5\nmetric_command = \"m\"\n[generation]\nbeam = 2\nlength_penalty = 1.0\nsample = false\ntemperature = 0.5\ntop_k = 3\ntop_p = 0.5\n\
        max_length = 9\nforbidden = [4]\nforced_beginning = [5]\nforced_end = true\nn_best = 2\n";
    let model = "[model]\nkind = \"encoder-decoder\"\nencoder = \"transformer\"\nattention = \"dot\"\nbridge = \"zero\"\n\
        output_soft_cap = 30.0\nforget_bias = 1.0\norigin = \"bart\"\n[model.transformer]\nqk_norm = \"head\"\nfull_layers = [1]\nlocal_rotary_base = 100.0\n\
        query_pre_attn_scalar = 8.0\nattention_soft_cap = 50.0\nkey_value_heads = 2\nhead_width = 4\nfeed_forward = 8\nwindow = 3\nattention_bias = true\n\
        scale_embedding = true\nrotary_scaling = { kind = \"llama3\", factor = 2.0, low = 1.0, high = 4.0, \
        original_length = 8 }\n";
    let losses = [
        "kind = \"cross-entropy\"\nignored = [\"a\"]\nclass_weights = { b = 2.0 }",
        "kind = \"embedding\"\nmeasure = \"l2\"",
        "kind = \"dpo\"\nchecksum = 5",
        "kind = \"minimum-risk\"",
    ];
    let schedules = [
        "kind = \"constant\"",
        "kind = \"step\"\nevery = 2",
        "kind = \"exponential\"\ngamma = 0.5",
        "kind = \"linear\"",
        "kind = \"inverse-sqrt\"\nwarmup = 2",
        "kind = \"cosine\"",
        "kind = \"warmup-stable-decay\"\nwarmup = 1\ndecay = 2",
        "kind = \"plateau\"",
    ];
    let optimizers = OptimizerConfig::KINDS;
    (0..schedules.len().max(optimizers.len()))
        .map(|i| {
            let (loss, schedule) = (losses[i % losses.len()], schedules[i % schedules.len()]);
            let optimizer = optimizers[i % optimizers.len()];
            let kinds = format!("[loss]\n{loss}\n[schedule]\n{schedule}\n[optimizer]\nkind = \"{optimizer}\"\ndecay_factors = {{ e = 2.0 }}\n");
            toml::from_str(&format!("{all}{}{model}{kinds}", generation())).unwrap()
        })
        .collect()
}

#[test]
fn every_key_is_described_and_every_description_is_of_a_key() {
    let mut found = BTreeSet::new();
    for recipe in every() {
        names(&toml::Table::try_from(&recipe).unwrap(), "", &mut found);
    }
    // Stands for others, and is no more there when a recipe is read.
    found.insert("model.family".to_owned());
    let known: BTreeSet<String> = keys::all().map(|key| key.name.to_owned()).collect();
    let found: BTreeSet<String> = found.into_iter().map(|name| name.replace("target_tokenizer", "tokenizer")).collect();
    assert_eq!(found, known);
    assert_eq!(known.len(), keys::all().count(), "no key is defined twice");
    for key in keys::all() {
        assert!(key.help.ends_with('.') && !key.help.contains("  "), "{}: {}", key.name, key.help);
    }
}

#[test]
fn described_defaults_and_kinds_are_the_true_ones() {
    // What is a value of TOML among the defaults is what a recipe has that says nothing.
    let recipes: Vec<toml::Table> =
        every().iter().map(|recipe| toml::Table::try_from(recipe.defaults()).unwrap()).collect();
    let of = |table: &toml::Table, key: &keys::Key| {
        let (place, name) = key.parts();
        let mut inner = place.split('.').filter(|name| !name.is_empty());
        let table = inner.try_fold(table, |table, name| table.get(name)?.as_table());
        table.and_then(|table| table.get(name).cloned())
    };
    let mut checked = 0;
    for key in keys::all() {
        let Some(default) = key.default_value() else { continue };
        let Some(value) = recipes.iter().find_map(|table| of(table, key)) else { continue };
        assert_eq!(value, default, "{}", key.name);
        checked += 1;
    }
    assert!(checked > 50, "{checked}");
    for key in keys::all() {
        // Words that are offered are accepted.
        if let ValueType::Choice(words) = key.value {
            assert!(words.len() > 1, "{}", key.name);
        }
        let (place, _) = key.parts();
        if let Some(ValueType::Choice(kinds)) = keys::find(&format!("{place}.kind")).map(|key| key.value) {
            assert!(key.kinds().iter().all(|kind| kinds.contains(kind)), "{}", key.name);
        }
    }
}

#[test]
fn what_is_written_is_what_was_read() {
    for recipe in every() {
        let again: Recipe = toml::from_str(&recipe.to_toml().unwrap()).unwrap();
        assert_eq!(again, recipe);
    }
    // What does not act is not written.
    let text = read(TRANSFORMER, &[]).unwrap().to_toml().unwrap();
    assert!(
        !["cell", "embedding", "bridge", "encoder_layers", "relative_buckets"].iter().any(|key| text.contains(key))
    );
    assert!(["length = 128", "batch_tokens = 2048", "steps = 10000"].iter().all(|key| text.contains(key)), "{text}");
    let text = read(TEXT, &["train.batch_sentences=4", "train.epochs=2"]).unwrap().to_toml().unwrap();
    assert!(!text.contains("batch_tokens") && !text.contains("steps") && text.contains("epochs = 2"), "{text}");
}

#[test]
fn keys_that_are_not_there_are_told_with_the_nearest() {
    wrong(PAIRS, &["steps=3"], &["--set steps=3", "no key steps outside of a section", "did you mean train.steps?"]);
    wrong(PAIRS, &["train.step=3"], &["--set train.step=3", "[train] has no key step;", "train.steps?"]);
    wrong(&format!("{PAIRS}droput = 0.1\n"), &[], &["line 5", "[model] has no key droput", "model.dropout?"]);
    wrong(&format!("{PAIRS}[trian]\nsteps = 3\n"), &[], &["line 5", "trian", "[train]?"]);
    wrong(&format!("train = 3\n{PAIRS}"), &[], &["line 1", "train is a section"]);
    wrong("[data]\ntrain = \"a\"\n", &[], &["no [model]", "encoder-decoder", "language-model"]);
    wrong("[model]\nhidden = 3\n", &[], &["[model] has no kind", "encoder-decoder or language-model"]);
    wrong(
        PAIRS,
        &["schedule.warmup=3"],
        &["schedule.warmup is for schedule.kind", "\"cosine\"", "not for \"constant\""],
    );
    wrong(PAIRS, &["schedule={kind='step'}"], &["[schedule] has no every"]);
    wrong(PAIRS, &["schedule={kind='inverse-sqrt'}"], &["[schedule] of this kind has no warmup"]);
    assert!(read(&format!("{PAIRS}[loss]\nsmoothing = 0.1\n"), &[]).is_ok(), "a kind has a default");
    wrong(PAIRS, &["a.b.c.d.e.f.g.h.i.j=1"], &["tables"]);
    wrong(PAIRS, &["a b=1"], &["no key a b"]);
    wrong(&format!("{PAIRS}[x]\ny = {}\n", "[".repeat(100_000)), &[], &["line 6"]);
    assert!(read(&format!("{PAIRS}[x]\ny = {}\n", "[".repeat(100_000)), &[]).unwrap_err().len() < 400);
}

#[test]
fn values_of_another_type_are_told_with_what_is_expected() {
    let value = |setting: &str, parts: &[&str]| wrong(PAIRS, &[setting], parts);
    value("model.hidden=many", &["model.hidden = \"many\"", "a whole number", "such as 256"]);
    value("model.hidden=-3", &["model.hidden = -3", "a whole number, from 1"]);
    value("train.steps=9223372036854775808", &["train.steps", "below 2^63"]);
    value("train.learning_rate='fast'", &["a number, above 0", "such as 1e-3"]);
    value("train.clip=0.5", &["train.clip = 0.5", "{ norm = 1.0 }", "\"none\""]);
    value("model.cell=lstmm", &["lstm or gru", "the nearest is \"lstm\""]);
    value("tokenizer.kind=sentencepiece", &["unigram and bpe"]);
    value("optimizer.kind='adamm'", &["the nearest is \"adam\""]);
    value("model.bidirectional=1", &["true or false"]);
    value("model.variational_dropout=1", &["true or false"]);
    value("model.recurrent_dropout=1.0", &["model.recurrent_dropout = 1.0", "below 1"]);
    value("model.variational_dropout=true", &["only has an effect with recurrent layers", "model.dropout"]);
    value("model.residual=true", &["model.residual", "two or more recurrent layers"]);
    value("model.residual=1", &["true or false"]);
    wrong(TRANSFORMER, &["model.layer_norm=true"], &["model.layer_norm", "recurrent layers"]);
    value("model.recurrent_init=orthogonall", &["uniform or orthogonal", "the nearest is \"orthogonal\""]);
    value("model.forget_bias=inf", &["model.forget_bias", "a number"]);
    wrong(PAIRS, &["model.cell=gru", "model.forget_bias=1.0"], &["model.forget_bias", "model.cell = \"lstm\""]);
    assert!(read(PAIRS, &["model.residual=true", "model.encoder_layers=2"]).is_ok());
    wrong(TRANSFORMER, &["model.word_dropout=0.1"], &["model.word_dropout", "recurrent layers"]);
    value("train.scheduled_sampling=1.5", &["train.scheduled_sampling = 1.5", "from 0 to 1"]);
    let sampled = ["init=base", "train.scheduled_sampling=0.5", "loss.kind='minimum-risk'"];
    wrong(PAIRS, &sampled, &["train.scheduled_sampling = 0.5", "minimum risk", "Leave it out"]);
    value("data.columns=[]", &["one to three columns in a list"]);
    value("data.columns=['a', 1]", &["data.columns[1] = 1: expected a text"]);
    value("data.columns=[0, -1]", &["data.columns[1] = -1: expected a whole number"]);
    value("data.train=[]", &["two names in a list"]);
    value("data.train=[[]]", &["lists of names in a list"]);
    value("data.train=[['a'], ['b'], ['c']]", &["one or two lists of names"]);
    value("data.train=[['a', 3]]", &["data.train[0][1] = 3: expected a text"]);
    value("data.filter.source_script='latn'", &["the nearest is \"latin\""]);
    value("data.filter.length_ratio=1", &["data.filter.length_ratio = 1", "above 1"]);
    value("data.filter.length=3", &["[data.filter] has no key length"]);
    value("data.filter=3", &["data.filter is a section"]);
    value("data.train=['a', 2]", &["data.train[1] = 2: expected a text"]);
    value("train.clip={norm=0.0}", &["train.clip.norm = 0", "a number, above 0"]);
    value("train.clip={norm='big'}", &["train.clip.norm = \"big\""]);
    value("train.clip={norms=1.0}", &["train.clip = {…}", "{ norm = 1.0 }", "the number above 0"]);
    value("optimizer={kind='adam',betas=[0.9,1.5]}", &["optimizer.betas[1] = 1.5: expected a number"]);
    value("optimizer={kind='adam',betas=[0.9]}", &["optimizer.betas = […]: expected two numbers"]);
    value("optimizer.decay_factors={'*a*'=-1.0}", &["optimizer.decay_factors.\"*a*\" = -1", "a number"]);
    value("loss.class_weights={a=1.0,b=-1.0}", &["loss.class_weights.\"b\" = -1", "a number"]);
    value("model.transformer.full_layers=[0,-1]", &["model.transformer.full_layers[1] = -1", "0 or more"]);
    value("model.transformer.relative_buckets=3", &["from 4 to 65536, even"]);
    value("model.transformer.relative_max_distance=0", &["above relative_buckets"]);
    value("target_model.hidden=3", &["no key target_model"]);
    value("train=3", &["train is a section"]);
    assert_eq!(
        read(PAIRS, &["train.clip={value=0.5}", "train.learning_rate=1"]).unwrap().train.clip,
        ClippingConfig::Value(0.5)
    );
}

#[test]
fn wishes_that_cannot_come_true_are_told() {
    wrong(&format!("{TRANSFORMER}cell = \"gru\"\n"), &[], &["model.cell", "recurrent layers", "Leave it out"]);
    wrong(&format!("{TRANSFORMER}attention = \"dot\"\n"), &[], &["model.attention"]);
    wrong(&format!("{TEXT}encoder_layers = 2\n"), &[], &["model.encoder_layers", "encoder-decoder"]);
    wrong(&format!("{TRANSFORMER}[model.transformer]\nmax_length = 9\n"), &[], &["max_length", "learned"]);
    wrong(PAIRS, &["train.patience=1", "data.validation_share=0.0"], &["train.patience", "data.validation"]);
    wrong(PAIRS, &["schedule.kind=plateau", "data.validation_share=0"], &["plateau", "data.validation"]);
    let metrics = "train.validation_metrics=['bleu']";
    wrong(PAIRS, &[metrics, "data.validation_share=0.0"], &["train.validation_metrics", "data.validation"]);
    wrong(PAIRS, &["train.validation_metrics=['blue']"], &["validation_metrics[0] = \"blue\"", "bleu-13a"]);
    wrong(PAIRS, &["train.validation_metrics=['bleu', 'bleu']"], &["bleu is there twice"]);
    let stop = |names: &str| format!("train.stop_metrics={names}");
    let patience = "train.patience=1";
    wrong(PAIRS, &[metrics, patience, &stop("['loss', 'chrf']")], &["train.stop_metrics[1] = \"chrf\"", "[\"bleu\"]"]);
    wrong(PAIRS, &[metrics, patience, &stop("['bleu', 'bleu']")], &["train.stop_metrics: bleu is there twice"]);
    wrong(PAIRS, &[patience, &stop("['command']")], &["train.stop_metrics[0] = \"command\"", "train.metric_command"]);
    wrong(PAIRS, &[metrics, "train.best_metric=chrf"], &["train.best_metric = \"chrf\"", "\"loss\"", "[\"bleu\"]"]);
    wrong(PAIRS, &["data.columns=[1, 1]"], &["the same column"]);
    wrong(PAIRS, &["data.columns=[0, 1]", "data.train=['a', 'b']"], &["two files have no columns"]);
    wrong(PAIRS, &["data.columns=[0, 1]", "data.train='a.jsonl'"], &["those of JSON and Parquet have names"]);
    assert!(read(PAIRS, &["data.columns=['a', 'b']", "data.train='a.jsonl'"]).is_ok());
    wrong(PAIRS, &["data.train=['a.tsv', 'b.tsv']"], &["data.train: a list of two names", "[[\"a.tsv\", \"b.tsv\"]]"]);
    let mix = |weights: &str, parts: &[&str]| {
        let all = "data.train=[['a.tsv', 'b.tsv']]";
        wrong(PAIRS, &[all, "data.validation='c.tsv'", &format!("data.{weights}")], parts);
    };
    mix("weights=[1, -1]", &["data.weights[1] = -1: expected a number"]);
    mix("weights=[0, 0]", &["data.weights = [0.0, 0.0]", "above 0"]);
    mix("weights=[1]", &["data.weights = [1.0]", "one for each of the 2 names"]);
    mix("temperature=0.5", &["data.temperature = 0.5", "1 or more"]);
    wrong(PAIRS, &["data.weights=[1.0]"], &["data.weights", "a list of names"]);
    wrong(
        PAIRS,
        &["data.train=[['a.tsv', 'b.tsv']]", "data.temperature=2"],
        &["data.temperature", "Set data.validation"],
    );
    wrong(PAIRS, &["data.train='a[*.tsv'"], &["data.train = \"a[*.tsv\": it is no pattern"]);
    wrong(
        PAIRS,
        &["data.filter={min_characters=5,max_characters=3}"],
        &["min_characters = 5: expected at most max_characters = 3"],
    );
    wrong(TEXT, &["target_tokenizer.kind=word"], &["one tokenizer"]);
    wrong(TEXT, &["generation.coverage_penalty=0.5"], &["generation.coverage_penalty = 0.5", "no attention"]);
    wrong(PAIRS, &["schedule={kind='inverse-sqrt',warmup=40}", "train.steps=30"], &["schedule.warmup = 40", "30"]);
    let steady = "schedule={kind='warmup-stable-decay',warmup=8,decay=6}";
    wrong(PAIRS, &[steady, "train.steps=10"], &["schedule.warmup = 8", "schedule.decay = 6", "together"]);
    wrong(PAIRS, &["bench={vocabulary=4294967297,batch=1,length=1}"], &["bench.vocabulary", "1000000"]);
    wrong(PAIRS, &["loss.focal=2.0", "loss.smoothing=0.1"], &["loss.focal = 2", "loss.smoothing"]);
    let free = "optimizer.kind=adamw-schedule-free";
    wrong(PAIRS, &[free, "train.average=0.9"], &["train.average = 0.9", "averages the weights itself"]);
    wrong(PAIRS, &[free, "optimizer.betas=[0.0, 0.9]"], &["optimizer.betas[0] = 0", "above 0"]);
    let notes = |text: &str, settings: &[&str]| read(text, settings).unwrap().source.notes.join("; ");
    assert!(notes(PAIRS, &["train.length=9"]).contains("train.length: it only has an effect with data.stream = true"));
    assert!(notes(PAIRS, &["train.batch_tokens=9", "train.batch_sentences=9"]).contains("train.batch_tokens"));
    assert!(notes(PAIRS, &["data.validation='pairs.tsv'"]).contains("generalisation"));
    assert!(notes(&format!("{TEXT}cell = \"gru\"\n"), &["model.decoder=transformer"]).contains("model.cell"));
    let carried = ["train.carry_state=true", "data.stream=true", "data.shuffle=blocks"];
    assert!(notes(TEXT, &carried).contains("data.shuffle: with train.carry_state"));
    assert_eq!(notes(TEXT, &carried[..2]), "");
    // Nor does it depend on a text.
    let workload = "[model]\nkind = \"language-model\"\n[bench]\nvocabulary = 9\nbatch = 2\nlength = 3\n";
    assert_eq!(notes(workload, &carried[..1]), "");
    for (setting, part) in [
        ("model.decoder=transformer", "no recurrent state"),
        ("model.kind=encoder-decoder", "separate pairs"),
        ("distill={teacher='run'}", "a teacher begins each chunk without a state"),
        ("loss.consistency=0.5", "with loss.consistency there are two states"),
    ] {
        wrong(
            workload,
            &[carried[0], "model.dropout=0.1", setting],
            &["train.carry_state = true", part, "Leave it out"],
        );
    }
    for falls in ["kind='cosine'", "kind='plateau'", "kind='exponential',gamma=0.5"] {
        assert!(notes(PAIRS, &[free, &format!("schedule={{{falls}}}")]).contains("none that falls"), "{falls}");
    }
    assert_eq!(notes(PAIRS, &[free, "schedule={kind='linear',warmup=9,end=1.0}"]), "");
    assert_eq!(notes(PAIRS, &[]), "");
    // A try, made shorter than the file says, is one: its schedule is shortened by the trainer.
    read(&format!("{PAIRS}[schedule]\nkind = \"cosine\"\nwarmup = 100\n"), &["train.steps=3"]).unwrap();
}

#[test]
fn ranges_are_those_of_the_configurations_that_have_the_values() {
    // At a bound that is included, no configuration may refuse what the key takes.
    let mut checked = 0;
    for key in keys::all() {
        let (ValueType::Integer(range) | ValueType::Number(range)) = key.value else { continue };
        let (section, _) = key.parts();
        let kind = key.kinds().first().map(|kind| format!("{section}.kind={kind}"));
        let whole = matches!(key.value, ValueType::Integer(_));
        for (bound, excluded) in [(range.min, range.above_min), (range.max, range.below_max)] {
            if bound.is_infinite() {
                continue;
            }
            let value = if whole { bound.to_string() } else { format!("{bound:?}") };
            let setting = format!("{}={value}", key.name);
            let settings: Vec<&str> = kind.iter().map(String::as_str).chain([setting.as_str()]).collect();
            let refused = read(PAIRS, &settings).err().unwrap_or_default();
            // Other keys may ask for more, such as an even number.
            let names = refused.contains(&format!("{} = ", key.name));
            let is_refused =
                names && ["a number", "a whole number", "or more"].iter().any(|range| refused.contains(range));
            assert_eq!(is_refused, excluded, "{setting}: {refused}");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked}");
}
