use super::condition::{
    BATCH_WARMUP, BY_TOKENS, CARRIED, LENGTH_WARMUP, METRIC_COMMAND, PATIENCE, SAMPLED, STREAM, TEXT_METRICS,
};
use super::key::{ABOVE_0, FROM_0, FROM_1, Key, REQUIRED, SHARE, Section, ValueType, WHOLE_SHARE, above, from};
use ValueType::{Choice, ChoiceList, Clip, Flag, Integer, Number, NumberPair, NumberTable, Text, TextList};
use descant_hyperparameters::{OptimizerConfig, ScheduleConfig};

pub(super) const OPTIMIZER: Section = Section {
    name: "optimizer",
    help: "The optimizer and its hyperparameters.",
    keys: &[
        Key::new(
            "optimizer.kind",
            Choice(OptimizerConfig::KINDS),
            "\"adamw\"",
            "The optimizer, with PyTorch's hyperparameters where it has such a one. adamw-schedule-free averages the weights in place of a \
             schedule that falls: the average is validated and saved. lbfgs is for small problems: a step is one iteration over the whole \
             text, which a line search evaluates several times, first at train.learning_rate times the direction, mostly 1.",
        ),
        Key::new(
            "optimizer.betas",
            NumberPair(SHARE),
            "[0.9, 0.999]",
            "Decay rates of the first and second moment; of lion [0.9, 0.99]. The first of adamw-schedule-free is the share of the average in \
             the weights that are trained.",
        ),
        Key::new("optimizer.amsgrad", Flag, "false", "AMSGrad: the denominator has the largest second moment so far."),
        Key::new("optimizer.momentum_decay", Number(FROM_0), "4e-3", "Decay of the momentum towards betas[0]."),
        Key::new(
            "optimizer.decoupled_weight_decay",
            Flag,
            "false",
            "Whether weight decay is decoupled from the gradient, as in AdamW.",
        ),
        Key::new("optimizer.momentum", Number(SHARE), "0.0", "Momentum; of muon 0.95."),
        Key::new(
            "optimizer.dampening",
            Number(SHARE),
            "0.0",
            "Dampening: the share of a gradient that the momentum leaves out.",
        ),
        Key::new("optimizer.nesterov", Flag, "false", "Nesterov momentum; of muon true."),
        Key::new("optimizer.lr_decay", Number(FROM_0), "0.0", "Learning-rate decay: lr / (1 + steps × lr_decay)."),
        Key::new(
            "optimizer.initial_accumulator_value",
            Number(FROM_0),
            "0.0",
            "Initial value of the sums of squared gradients.",
        ),
        Key::new("optimizer.rho", Number(SHARE), "0.9", "Decay rate of the running averages."),
        Key::new("optimizer.alpha", Number(SHARE), "0.99", "Decay rate of the running averages."),
        Key::new(
            "optimizer.centered",
            Flag,
            "false",
            "Centered RMSprop: the gradient is divided by its standard deviation rather than by the root of the \
             mean square.",
        ),
        Key::new(
            "optimizer.beta2_decay",
            Number(from(-1.0).to(0.0)),
            "-0.8",
            "The exponent of the decay rate of the second moment, 1 - steps^beta2_decay. Steps of adafactor are relative to the size of a \
             parameter, and made for a train.learning_rate of 1e-2.",
        ),
        Key::new(
            "optimizer.d",
            Number(FROM_1),
            "1.0",
            "The largest root mean square of an update, before the learning rate.",
        ),
        Key::new(
            "optimizer.eps2",
            Number(FROM_0),
            "1e-3",
            "The least root mean square of a parameter that its steps are relative to.",
        ),
        Key::new(
            "optimizer.ns_steps",
            Integer(from(1.0).to(99.0)),
            "5",
            "Newton-Schulz iterations, which orthogonalise the momentum of a matrix.",
        ),
        Key::new(
            "optimizer.history_size",
            Integer(from(1.0).to(1000.0)),
            "100",
            "The last changes of weights and gradients that a direction is made of, each as large as the weights.",
        ),
        Key::new(
            "optimizer.adamw",
            TextList,
            "[\"*embedding*\", \"*projection*\", \"*position*\", \"*relative*\"]",
            "Patterns of the matrices that AdamW updates, by betas and eps, as it does all vectors.",
        ),
        Key::new(
            "optimizer.eps",
            Number(ABOVE_0),
            "(PyTorch's)",
            "Epsilon, added to the denominator: 1e-8; adagrad 1e-10, adadelta and lamb 1e-6.",
        ),
        Key::new(
            "optimizer.weight_decay",
            Number(FROM_0),
            "(adamw and lamb 0.01, muon 0.1, others 0)",
            "Weight decay: of adafactor, adamw, adamw-schedule-free, lamb, lion and muon decoupled, of all others an L2 penalty added to the gradient.",
        ),
        Key::new(
            "optimizer.no_decay",
            TextList,
            "[\"*bias*\", \"*norm*\"]",
            "Patterns of the parameters without weight decay, which with lamb have the steps of adam; [] for none.",
        ),
        Key::new(
            "optimizer.decay_factors",
            NumberTable(from(0.0).to(1e6)),
            "{}",
            "Factors of the weight decay by pattern of parameters; where several match, their product. Those of the learning rate are \
             finetune.rates.",
        ),
    ],
};

const WARMED: &[&str] = &["linear", "inverse-sqrt", "cosine", "warmup-stable-decay"];
const ENDING: &[&str] = &["linear", "cosine", "warmup-stable-decay"];
const PLATEAU: &[&str] = &["plateau"];

pub(super) const SCHEDULE: Section = Section {
    name: "schedule",
    help: "The learning-rate schedule.",
    keys: &[
        Key::new(
            "schedule.kind",
            Choice(ScheduleConfig::KINDS),
            "\"constant\"",
            "The learning-rate schedule. Those with an end, end with the training.",
        ),
        Key::new(
            "schedule.warmup",
            Integer(FROM_0),
            "0",
            "Warm-up: steps in which the learning rate rises to the full one; required for inverse-sqrt and \
             warmup-stable-decay.",
        )
        .of(WARMED),
        Key::new("schedule.decay", Integer(FROM_0), REQUIRED, "Steps of the decay at the end.")
            .of(&["warmup-stable-decay"]),
        Key::new(
            "schedule.end",
            Number(WHOLE_SHARE),
            "0.0",
            "The learning rate at the end, as a share of the full one.",
        )
        .of(ENDING),
        Key::new("schedule.every", Integer(FROM_1), REQUIRED, "Steps between two decays.").of(&["step"]),
        Key::new(
            "schedule.gamma",
            Number(WHOLE_SHARE),
            "0.1",
            "The factor of a decay; required for exponential, which decays after each step.",
        )
        .of(&["step", "exponential"]),
        Key::new("schedule.factor", Number(WHOLE_SHARE), "0.1", "The factor of a decay.").of(PLATEAU),
        Key::new("schedule.patience", Integer(FROM_0), "10", "Validations without improvement before a decay.")
            .of(PLATEAU),
        Key::new(
            "schedule.threshold",
            Number(SHARE),
            "1e-4",
            "The least improvement, as a share of the best validation loss.",
        )
        .of(PLATEAU),
        Key::new(
            "schedule.minimum",
            Number(WHOLE_SHARE),
            "0.0",
            "The lowest learning rate, as a share of the full one.",
        )
        .of(PLATEAU),
    ],
};

pub(super) const FINETUNE: Section = Section {
    name: "finetune",
    help: "Which parameters are trained. Patterns match names of parameters; * stands for anything.",
    keys: &[
        Key::new("finetune.train", TextList, "(everything)", "Patterns of the parameters that alone are trained."),
        Key::new("finetune.freeze", TextList, "[]", "Patterns of the parameters that are frozen."),
        Key::new(
            "finetune.rates",
            NumberTable(from(0.0).to(1e6)),
            "{}",
            "Learning-rate multipliers by pattern of parameters.",
        ),
    ],
};

pub(super) const LORA: Section = Section {
    name: "finetune.lora",
    help: "Low-rank adapters (LoRA).",
    keys: &[
        Key::new(
            "finetune.lora.rank",
            Integer(from(1.0).to(65_536.0)),
            REQUIRED,
            "The rank of the low-rank adapters, which are trained in place of the matrices.",
        ),
        Key::new(
            "finetune.lora.alpha",
            Number(ABOVE_0),
            "(as rank)",
            "LoRA's alpha: adapters are scaled by alpha / rank.",
        ),
        Key::new(
            "finetune.lora.targets",
            TextList,
            "(all matrices but tables)",
            "Patterns of the matrices that get adapters.",
        ),
    ],
};

pub(super) const DISTILL: Section = Section {
    name: "distill",
    help: "Knowledge distillation from a trained model.",
    keys: &[
        Key::new("distill.teacher", Text, REQUIRED, "The teacher's run; its tokenizers are the recipe's."),
        Key::new(
            "distill.weight",
            Number(above(0.0).to(1.0)),
            "0.5",
            "Weight of the distillation loss; the rest is that of the targets.",
        ),
        Key::new("distill.temperature", Number(ABOVE_0), "1.0", "Softmax temperature of teacher and student."),
        Key::new("distill.checksum", Integer(FROM_0), "(written by a training)", "CRC-32 of the teacher's weights."),
    ],
};

pub(super) const TRAIN: Section = Section {
    name: "train",
    help: "Length of the training, batches, precision, validation and checkpoints.",
    keys: &[
        Key::new("train.steps", Integer(FROM_1), "(10000, or as epochs says)", "Optimizer steps."),
        Key::new(
            "train.epochs",
            Integer(from(0.0).to(1e9)),
            "0",
            "Epochs; 0 for no limit. With steps too, what comes first ends the training.",
        ),
        Key::new("train.learning_rate", Number(ABOVE_0), "1e-3", "The learning rate, before the schedule's factor."),
        Key::new("train.batch_tokens", Integer(FROM_1), "2048", "Tokens in a batch; of pairs, the longer side counts.")
            .when(BY_TOKENS),
        Key::new(
            "train.batch_sentences",
            Integer(FROM_0),
            "0",
            "Sequences in a batch, in place of batch_tokens; 0 for no limit.",
        ),
        Key::new("train.length", Integer(from(1.0).to(1_048_576.0)), "128", "Tokens in a chunk of a continuous text.")
            .when(STREAM),
        Key::new(
            "train.carry_state",
            Flag,
            "false",
            "Truncated backpropagation through time with carried state: the continuous text is read as one contiguous stream for each \
             row of a batch, and the recurrent state at the end of a chunk is the initial state of the next, with no gradient \
             across. A stream begins with zeros in every epoch. The validation loss is measured in the same way. false: chunks are \
             shuffled, and each begins with zeros.",
        )
        .when(CARRIED),
        Key::new(
            "train.accumulate",
            Integer(from(1.0).to(65_536.0)),
            "1",
            "Gradient accumulation: batches in a step. With epochs, the last step of an epoch has what is left.",
        ),
        Key::new(
            "train.batch_warmup",
            Integer(FROM_0),
            "0",
            "Batch-size warm-up: steps in which the size of a step grows linearly to the whole (accumulate batches); 0 for none. \
             A step ends within a batch, and the next one begins with the rest of it.",
        ),
        Key::new(
            "train.batch_start",
            Number(above(0.0).below(1.0)),
            "0.1",
            "The share of the whole that the first step of batch_warmup has.",
        )
        .when(BATCH_WARMUP),
        Key::new(
            "train.length_warmup",
            Integer(FROM_0),
            "0",
            "Sequence-length warm-up: steps in which the length of sequences grows linearly to the whole; 0 for none. Chunks of a \
             continuous text are cut into shorter ones. Of lines and pairs, batches of the longest ones wait, and come as soon \
             as the limit allows; an epoch that ends before leaves them out, and how many is reported.",
        ),
        Key::new(
            "train.length_start",
            Number(above(0.0).below(1.0)),
            "0.1",
            "The share that length_warmup begins with: of train.length; of lines and pairs, the share of the \
             batches that may come, those of the shortest.",
        )
        .when(LENGTH_WARMUP),
        Key::new(
            "train.scheduled_sampling",
            Number(WHOLE_SHARE),
            "0.0",
            "Scheduled sampling (Bengio et al. 2015), against exposure bias: the probability with which a token that the decoder reads is \
             the one that the model holds likeliest there, by a pass before (Mihaylova and Martins 2019), in place of the text's. \
             Prompts stay. A step takes longer by that pass.",
        ),
        Key::new(
            "train.scheduled_sampling_steps",
            Integer(FROM_0),
            "0",
            "Steps in which the probability of scheduled_sampling grows linearly from 0; 0 for all of it from the first step on.",
        )
        .when(SAMPLED),
        Key::new(
            "train.clip",
            Clip(ABOVE_0),
            "{ norm = 1.0 }",
            "Gradient clipping: by the global norm; of each element by value; by the norm of each parameter; by the share of \
             the norm of its weights that the gradient of each unit (a row of a matrix, a vector) may have (AGC), but for the \
             output projection and embeddings that are tied to it; or by the z-score of the global norm among those before, \
             after 25 steps (ZClip).",
        ),
        Key::new(
            "train.guided_alignment",
            Number(from(0.0).to(1e6)),
            "0.0",
            "Weight of the guided alignment loss: the cross entropy of the alignments of data.alignment_column and the weights of a recurrent decoder's attention, or of \
             the first head of a Transformer's layer before the last (Chen et al. 2016); 0.05 to 1 are usual. The validation loss leaves it out.",
        ),
        Key::new(
            "train.average",
            Number(SHARE),
            "0.0",
            "Decay of an exponential moving average of the weights (EMA), such as 0.999; it is the average that is \
             validated and saved. 0 for none.",
        ),
        Key::new(
            "train.precision",
            Choice(&["f32", "bf16"]),
            "\"f32\"",
            "bf16 is mixed precision: operands of large matmuls are rounded to bfloat16; weights and optimizer \
             state stay in f32.",
        ),
        Key::new(
            "train.shares",
            Integer(from(0.0).to(1024.0)),
            "0",
            "Data-parallel shares of a batch, one replica each; 0 for the number of this machine's cores. The bits \
             of the result depend on it, so a resolved recipe holds the number.",
        ),
        Key::new(
            "train.validate_every",
            Integer(FROM_1),
            "500",
            "Steps between two validations; there is one at the end, too.",
        ),
        Key::new(
            "train.validation_metrics",
            ChoiceList(descant_metrics::NAMES),
            "[]",
            "Metrics of the texts that the model generates at each validation, by the options of [generation]. slot_f1 is of targets that \
             are a BIO tag for each word; distinct-1 and distinct-2 are the better the larger, seq-rep-4 and copy_rate the smaller.",
        ),
        Key::new(
            "train.validation_examples",
            Integer(FROM_1),
            "200",
            "For metrics of generated texts: over how many validation examples at most, the first of the text.",
        ),
        Key::new(
            "train.validation_samples",
            Integer(FROM_0),
            "3",
            "Of these examples, how many have what the model generates at each validation kept, with source and references, in \
             samples.jsonl: the first of the text.",
        )
        .when(TEXT_METRICS),
        Key::new(
            "train.metric_command",
            Text,
            "(none)",
            "A metric of your own, named command: a program that measures the same texts at each validation. On its standard input \
             it reads a JSON object for each, a line each, with source, text and references; it prints a number in its last line. \
             Larger is better.",
        ),
        Key::new("train.metric_timeout", Integer(FROM_1), "600", "Seconds that metric_command may take.")
            .when(METRIC_COMMAND),
        Key::new(
            "train.best_metric",
            Text,
            "\"loss\"",
            "What the best checkpoint and early stopping go by: the validation loss, one of validation_metrics, or command; with \
             loss.kind = \"dpo\" also preference_accuracy, reward_margin or chosen_reward. A plateau schedule goes by the loss.",
        )
        .related("loss, one of validation_metrics, command, or what loss.kind measures"),
        Key::new("train.log_every", Integer(FROM_1), "20", "Steps between two lines of metrics."),
        Key::new(
            "train.checkpoint_every",
            Integer(FROM_0),
            "0",
            "Steps between two checkpoints, besides those at validations; 0 for none. Of old ones, train.keep says which \
             are kept.",
        ),
        Key::new(
            "train.keep",
            Integer(FROM_1),
            "1",
            "Checkpoints that are kept, besides the best: so many of the newest, of those at validations and of \
             checkpoint_every. descant average takes the mean of their weights.",
        ),
        Key::new(
            "train.patience",
            Integer(FROM_0),
            "0",
            "Early stopping: validations without improvement before training ends; 0 for never.",
        ),
        Key::new(
            "train.stop_metrics",
            TextList,
            "[]",
            "What early stopping goes by, in place of best_metric: of these, none may have improved for patience validations. The best \
             checkpoint is that of best_metric all the same. [] for best_metric alone.",
        )
        .when(PATIENCE)
        .related("each as best_metric"),
        Key::new(
            "train.non_finite",
            Choice(&["stop", "skip"]),
            "\"stop\"",
            "At a step whose loss or gradient is not finite: stop, or skip it, which leaves the weights as they are. Each is \
             reported and counted, with the first operation that was not finite; ten in a row stop the training.",
        ),
    ],
};
