//! The child process of the sandbox: it compiles and renders chat templates, and tries tokenizers.

use crate::Tokenizer;
use crate::chat::renderer;
use crate::sandbox::{Limits, Request, with_stack};
use minijinja::Environment;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::io::{self, BufRead, Write};

/// The child: it answers requests from standard input until that ends.
///
/// # Errors
/// Where standard input or output fail.
pub fn serve_sandbox() -> io::Result<()> {
    with_stack(serve).map_err(io::Error::other)?
}

fn serve() -> io::Result<()> {
    // A failure leaves no image of the memory behind.
    limit(Resource::Core, 0);
    let mut template: Option<Environment<'static>> = None;
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?)?;
        let Limits { memory, seconds } = request.limits();
        limit(Resource::As, memory);
        limit(Resource::Cpu, clock_gettime(ClockId::ProcessCPUTime).tv_sec.unsigned_abs() + seconds + 1);
        let answer: Result<String, String> = match request {
            Request::Template(text) => renderer::environment(&text).map(|compiled| {
                template = Some(compiled);
                String::new()
            }),
            Request::Render { messages, add_generation_prompt } => match &template {
                Some(template) => renderer::render(template, &messages, add_generation_prompt),
                None => Err("no template was given".to_owned()),
            },
            Request::Tokenizer { path, special } => {
                Tokenizer::try_here(&path, special).map(|()| String::new()).map_err(|error| error.to_string())
            }
        };
        serde_json::to_writer(&mut output, &answer)?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}

/// Lowers a limit of this process, where the system lets it.
fn limit(resource: Resource, most: u64) {
    let Rlimit { maximum, .. } = getrlimit(resource);
    let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
    let _ = setrlimit(resource, Rlimit { current, maximum });
}
