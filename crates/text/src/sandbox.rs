//! The sandbox for what comes with imported models: a child process with limits on memory and processor time, whose end does
//! not end the program. `sandbox_server.rs` is the child.
//!
//! Templates are programs, and what they can do within a single operation (double a list, print one that holds itself)
//! no count of instructions bounds: it ends in a stack overflow or in an allocator that aborts, which no `catch_unwind`
//! stops. So the binary runs itself again, as a child that answers requests line by line. A program that uses the
//! library without calling [`sandbox`] has limits of size and instructions alone.

use crate::{Message, SpecialTokens};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::thread;
use std::time::Duration;

/// Enough for what 64 KB of a template can nest: `-` is a level, and costs the parser 300 bytes.
const STACK: usize = 1 << 28;
/// How long it is waited without a word.
const PATIENCE: Duration = Duration::from_secs(2);
static PROGRAM: OnceLock<Program> = OnceLock::new();

pub(crate) struct Program {
    path: PathBuf,
    argument: String,
}

/// From now on, this process gives libraries what comes from elsewhere in a child process: `path`, a program that calls
/// [`crate::serve_sandbox`] when its only argument is `argument`. The binary names itself.
pub fn sandbox(path: PathBuf, argument: &str) {
    let _ = PROGRAM.set(Program { path, argument: argument.to_owned() });
}

pub(crate) fn program() -> Option<&'static Program> {
    PROGRAM.get()
}

/// What the child is asked for. It answers each with a `Result<String, String>`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Compile this template.
    Template(String),
    /// Render a conversation by it.
    Render { messages: Vec<Message>, add_generation_prompt: bool },
    /// Read this `tokenizer.json`, encode trial texts and decode them.
    Tokenizer { path: PathBuf, special: Option<SpecialTokens> },
}

/// Address space of a template, without what a conversation adds.
const TEMPLATE_MEMORY: u64 = STACK as u64 + (128 << 20);

/// What a request may take.
pub(crate) struct Limits {
    /// Address space; of it, [`STACK`] is the stack's.
    pub(crate) memory: u64,
    /// Seconds of processor time.
    pub(crate) seconds: u64,
}

impl Request {
    pub(crate) fn limits(&self) -> Limits {
        match self {
            // A template has at most 64 KB, and of address space the program itself takes 60 MB.
            Self::Template(_) => Limits { memory: TEMPLATE_MEMORY, seconds: 10 },
            // A conversation is there as JSON, as messages, as the template's values and as text.
            Self::Render { messages, .. } => {
                let bytes: usize = messages.iter().map(|said| 64 + said.role.len() + said.content.len()).sum();
                Limits { memory: TEMPLATE_MEMORY + 32 * bytes as u64, seconds: 10 }
            }
            // Of 256,000 entries, a file of 30 MB takes some seconds.
            Self::Tokenizer { .. } => Limits { memory: 4 << 30, seconds: 60 },
        }
    }
}

/// Runs `work` on a thread with a stack for deep recursion, of which only what is used becomes memory.
pub(crate) fn with_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work);
        let thread = thread.map_err(|error| format!("no thread with a stack of {STACK} bytes: {error}"))?;
        thread.join().map_err(|_| "it panicked".to_owned())
    })
}

/// Does some work, and says what it is where that takes longer than one likes to wait without a word.
fn told_if_long<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let (working, ended) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            if ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                log::info!("{what}");
            }
        });
        let done = work();
        drop(working);
        done
    })
}

/// A child that was given what it needs, and answers.
pub(crate) struct Sandbox {
    first: Request,
    child: Option<Running>,
}

struct Running {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Sandbox {
    /// Starts a child with this request.
    pub(crate) fn new(first: Request) -> Result<Self, String> {
        let mut sandbox = Self { first, child: None };
        sandbox.start().map(|()| sandbox)
    }

    fn start(&mut self) -> Result<(), String> {
        let Program { path, argument } = program().ok_or("no program for it is known")?;
        let failed = |error: io::Error| format!("could not start {} to try it apart: {error}", path.display());
        let mut command = Command::new(path);
        // A group of its own: Ctrl-C is for the program, which then ends the child.
        command.arg(argument).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut process = command.spawn().map_err(failed)?;
        let (Some(requests), Some(answers)) = (process.stdin.take(), process.stdout.take()) else {
            return Err("its standard input and output are no pipes".to_owned());
        };
        self.child = Some(Running { process, requests, answers: BufReader::new(answers) });
        let first = serde_json::to_string(&self.first).map_err(|error| error.to_string())?;
        let Limits { seconds, .. } = self.first.limits();
        let what = match &self.first {
            Request::Tokenizer { path, .. } => format!("Trying the tokenizer {}", path.display()),
            _ => "Trying the chat template".to_owned(),
        };
        told_if_long(&format!("{what} in a process of its own, for up to {seconds} s"), || self.exchange(&first))
            .map(drop)
    }

    /// The answer to a request. After a child's end, the next request has another one.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<String, String> {
        if self.child.is_none() {
            self.start()?;
        }
        self.exchange(&serde_json::to_string(request).map_err(|error| error.to_string())?)
    }

    fn exchange(&mut self, request: &str) -> Result<String, String> {
        let Some(child) = &mut self.child else { return Err("no program runs it".to_owned()) };
        let mut answer = String::new();
        let exchanged = child
            .requests
            .write_all(request.as_bytes())
            .and_then(|()| child.requests.write_all(b"\n"))
            .and_then(|()| child.answers.read_line(&mut answer));
        match exchanged.ok().and_then(|_| serde_json::from_str::<Result<String, String>>(&answer).ok()) {
            Some(answer) => answer,
            None => Err(self.end()),
        }
    }

    /// What ended the child.
    fn end(&mut self) -> String {
        const CPU: i32 = rustix::process::Signal::XCPU.as_raw();
        let Some(Running { mut process, .. }) = self.child.take() else { return "no program runs it".to_owned() };
        let Limits { memory, seconds } = self.first.limits();
        let _ = process.kill();
        match process.wait().map(|status| (status.signal(), status)) {
            Ok((Some(CPU), _)) => format!("it needs more than {seconds} s of processor time"),
            Ok((Some(_), _)) => {
                let megabytes = memory >> 20;
                format!(
                    "it nests too deeply, or needs more than {megabytes} MB: does a value hold itself, or grow without end?"
                )
            }
            Ok((None, status)) => format!("the process that ran it ended with {status}"),
            Err(error) => format!("the process that ran it ended: {error}"),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.process.kill();
            let _ = child.process.wait();
        }
    }
}
