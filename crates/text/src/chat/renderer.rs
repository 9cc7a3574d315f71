use super::message::Message;
use super::{names, python};
use crate::catch_panic::caught;
use crate::sandbox::{self, Request, Sandbox};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, context};
use std::sync::Mutex;

/// The longest template, in bytes: those of large models have some 20,000.
const LONGEST: usize = 1 << 16;
/// What a text may have beyond eight times what is said in it, in bytes.
const MARKUP: usize = 1 << 18;
/// Instructions that writing one text may take.
const FUEL: u64 = 10_000_000;
const NAME: &str = "chat_template";

/// Renders a chat template: in the sandbox, where there is one, else in this process.
pub(super) enum Renderer {
    Here(Box<Environment<'static>>),
    Apart(Box<Mutex<Sandbox>>),
}

impl Renderer {
    /// Compiles a template.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it has {} bytes, expected at most {LONGEST}", text.len()));
        }
        match sandbox::program() {
            Some(_) => Ok(Self::Apart(Box::new(Mutex::new(Sandbox::new(Request::Template(text.to_owned()))?)))),
            None => Ok(Self::Here(Box::new(sandbox::with_stack(|| environment(text))??))),
        }
    }

    /// The text of a conversation.
    pub(super) fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String, String> {
        match self {
            Self::Here(environment) => sandbox::with_stack(|| render(environment, messages, add_generation_prompt))?,
            Self::Apart(sandbox) => {
                let request = Request::Render { messages: messages.to_vec(), add_generation_prompt };
                sandbox.lock().map_err(|error| error.to_string())?.ask(&request)
            }
        }
    }
}

/// A compiled template.
pub(crate) fn environment(text: &str) -> Result<Environment<'static>, String> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.map_err(|error| error.to_string())?);
    environment.set_unknown_method_callback(python::method);
    environment.set_fuel(Some(FUEL));
    environment.add_function("raise_exception", |message: String| -> Result<String, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_function("strftime_now", |format: String| python::strftime_now(&format));
    environment.add_filter("tojson", python::tojson);
    environment.add_test("sequence", python::is_sequence);
    let (tokens, text) = names::read(text);
    if tokens.is_empty() {
        environment.add_global("bos_token", "");
        environment.add_global("eos_token", "");
    }
    tokens.into_iter().for_each(|(name, token)| environment.add_global(name, token));
    let compiled = caught(|| environment.add_template_owned(NAME, without_generation(text)))?;
    compiled.map_err(|error| explain(&error))?;
    Ok(environment)
}

/// The text of a conversation.
pub(crate) fn render(
    environment: &Environment<'_>,
    messages: &[Message],
    add_generation_prompt: bool,
) -> Result<String, String> {
    let context = context! { messages => Serde(messages), add_generation_prompt, tools => (), documents => () };
    let rendered = caught(|| environment.get_template(NAME)?.render(context));
    let text =
        rendered.map_err(|panic| format!("its interpreter failed: {panic}"))?.map_err(|error| explain(&error))?;
    let said: usize = messages.iter().map(|message| message.role.len() + message.content.len()).sum();
    match text.len() <= MARKUP + 8 * said {
        true => Ok(text),
        false => Err(format!("it writes {} bytes of a conversation of {said}", text.len())),
    }
}

/// A template without the tags `generation`, which only say what of its text the model wrote: that is known here by the
/// prompt before it.
fn without_generation(text: &str) -> String {
    let mut rest = text;
    let mut without = String::with_capacity(text.len());
    while let Some((before, tag)) = rest.split_once("{%") {
        without.push_str(before);
        let Some((inner, after)) = tag.split_once("%}") else {
            rest = &rest[before.len()..];
            break;
        };
        let statement = inner.trim_matches(['-', '+']).trim();
        let replaced = match statement {
            "generation" => inner.replace(statement, "if true"),
            "endgeneration" => inner.replace(statement, "endif"),
            _ => inner.to_owned(),
        };
        without.extend(["{%", &replaced, "%}"]);
        rest = after;
    }
    without + rest
}

/// What is wrong, and what can be done about what other programs' templates do.
fn explain(error: &Error) -> String {
    let told = error.to_string();
    let remedy = match &told {
        told if told.contains("use % operator") => ". Write 'FORMAT'|format(VALUE) in place of 'FORMAT' % VALUE",
        _ => "",
    };
    told + remedy
}
