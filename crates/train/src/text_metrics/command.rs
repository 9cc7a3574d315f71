//! A metric of one's own: a program that reads what was generated, and prints a number.

use super::Prediction;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Of its output, the last bytes are kept, and no more than twice as many.
const KEPT: usize = 1 << 16;
/// How long it is waited for the end of its output, once it has ended: a program that it began may have that still open.
const PATIENCE: Duration = Duration::from_secs(2);
/// Characters of its last line: more are no number.
const MOST_SHOWN: usize = 300;
const POLL: Duration = Duration::from_millis(10);

/// A program that measures predictions; larger numbers are better.
#[derive(Clone, Debug)]
pub struct MetricCommand {
    program: PathBuf,
    timeout: Duration,
}

/// A line of what it reads.
#[derive(Serialize)]
struct Line<'a> {
    source: &'a str,
    text: &'a str,
    references: &'a [String],
}

impl MetricCommand {
    /// Of this program, which may take so long.
    pub fn new(program: &Path, timeout: Duration) -> Self {
        // A name without a folder is a file here, or else one in the folders of `PATH`.
        let is_here = program.components().count() == 1 && program.is_file();
        let program = if is_here { Path::new(".").join(program) } else { program.to_owned() };
        Self { program, timeout }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The number that it prints: on its standard input it has a JSON object for each prediction, a line each, with `source`, `text` and
    /// `references`. What else it prints before the number in the last line, or to standard error, is not looked at.
    ///
    /// # Errors
    /// In words: where it cannot be run, does not end in time or until `stop` is set, fails, or does not print a number.
    pub fn measure(&self, predictions: &[Prediction], stop: &AtomicBool) -> Result<f64, String> {
        let Self { program, timeout } = self;
        let name = program.display();
        let mut input = Vec::new();
        for Prediction { source, text, references, .. } in predictions {
            let line = serde_json::to_vec(&Line { source, text, references });
            input.extend(line.map_err(|error| format!("{name} cannot be given its input: {error}"))?);
            input.push(b'\n');
        }
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound if program.exists() => {
                format!("{name} cannot be run: the interpreter that its first line names (#!) is not there")
            }
            io::ErrorKind::NotFound if program.to_string_lossy().contains(' ') => {
                format!("there is no program {name}: it is a file's name, without arguments. A script can give them")
            }
            io::ErrorKind::NotFound => format!("there is no program {name}"),
            io::ErrorKind::PermissionDenied if program.is_dir() => format!("{name} is a folder, and no program"),
            io::ErrorKind::PermissionDenied => {
                format!("{name} cannot be run: {error}. A script needs the right to be run (chmod +x)")
            }
            _ => format!("{name} cannot be run: {error}"),
        };
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C is for the training, which saves what this program measures; and what it began itself is stopped with it.
        command.process_group(0);
        let mut child = command.spawn().map_err(cannot)?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // It may end without having read all.
        thread::spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(&input)));
        let (printed, said) = (stdout.map(Output::of), stderr.map(Output::of));
        let start = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if start.elapsed() < *timeout && !stop.load(Ordering::Relaxed) => thread::sleep(POLL),
                waited => {
                    kill(&mut child);
                    return Err(match waited {
                        Err(error) => format!("{name} cannot be waited for: {error}"),
                        Ok(_) if stop.load(Ordering::Relaxed) => format!("{name} was stopped"),
                        Ok(_) => format!(
                            "{name} did not end within {} s (metric timeout), and was stopped",
                            timeout.as_secs()
                        ),
                    });
                }
            }
        };
        let last_line = |output: Option<Output>| output.map(Output::last_line).filter(|line| !line.is_empty());
        if !status.success() {
            let why = last_line(said).map_or_else(String::new, |line| format!(": {line}"));
            return Err(format!("{name} failed ({status}){why}"));
        }
        let line = last_line(printed).unwrap_or_default();
        match line.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("{name} has to print a number in its last line, and printed {line:?}")),
        }
    }
}

/// Ends it, and what it began.
fn kill(child: &mut Child) {
    // Where its group cannot be ended, it is stopped alone.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let _ = child.kill().and_then(|()| child.wait());
}

/// What is printed: all is read, so that nobody waits for it to be, and the end of it kept.
struct Output {
    end: Arc<Mutex<Vec<u8>>>,
    closed: Receiver<()>,
}

impl Output {
    fn of(mut pipe: impl Read + Send + 'static) -> Self {
        let end = Arc::new(Mutex::new(Vec::new()));
        let (closing, closed) = channel();
        let kept = end.clone();
        thread::spawn(move || {
            let mut part = [0; 1 << 12];
            loop {
                match pipe.read(&mut part) {
                    Ok(0) => break,
                    Ok(count) => {
                        let mut kept = lock(&kept);
                        kept.extend(&part[..count]);
                        if kept.len() > 2 * KEPT {
                            let before = kept.len() - KEPT;
                            kept.drain(..before);
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(_) => break,
                }
            }
            drop(closing);
        });
        Self { end, closed }
    }

    /// The last line that is not empty, of what is there when the pipe closes, or soon.
    fn last_line(self) -> String {
        let _ = self.closed.recv_timeout(PATIENCE);
        let end = lock(&self.end);
        let text = String::from_utf8_lossy(&end);
        text.lines()
            .rfind(|line| !line.trim().is_empty())
            .map(|line| line.trim().chars().take(MOST_SHOWN).collect())
            .unwrap_or_default()
    }
}

fn lock(bytes: &Mutex<Vec<u8>>) -> MutexGuard<'_, Vec<u8>> {
    bytes.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// What a script of these lines measures of two predictions.
    fn measured(script: &str) -> Result<f64, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metric.sh");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let prediction = |text: &str| Prediction {
            source: "a \"b\"".to_owned(),
            text: text.to_owned(),
            references: vec!["c".to_owned(), "d".to_owned()],
            ..Prediction::default()
        };
        MetricCommand::new(&path, Duration::from_secs(2))
            .measure(&[prediction("x\ny"), prediction("z")], &AtomicBool::new(false))
    }

    #[test]
    fn the_number_in_the_last_line_counts() {
        assert_eq!(measured("wc -l"), Ok(2.0));
        assert_eq!(measured("echo loading; cat > /dev/null; echo; echo ' -0.5 '; echo"), Ok(-0.5));
        let line = r#"{"source":"a \"b\"","text":"x\ny","references":["c","d"]}"#;
        assert_eq!(measured(&format!("read -r line; [ \"$line\" = '{line}' ] && echo 1")), Ok(1.0));
        // Much more than a pipe holds, without reading anything.
        assert_eq!(measured("head -c 1000000 /dev/zero >&2; echo 7"), Ok(7.0));
        assert_eq!(measured("yes 0.125 | head -n 200000; echo 42"), Ok(42.0));
        // Another process has its output open for longer.
        assert_eq!(measured("sleep 30 & echo 7"), Ok(7.0));
        // Ctrl-C reaches the group of the training alone.
        assert_eq!(measured("[ $(ps -o pgid= -p $$) = $$ ] && echo 1"), Ok(1.0));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |script: &str, parts: &[&str]| {
            let error = measured(script).unwrap_err();
            parts.iter().for_each(|part| assert!(error.contains(part), "{error}"));
        };
        told("echo out of luck >&2; exit 3", &["metric.sh failed", "exit status: 3", "out of luck"]);
        told("kill -9 $$", &["metric.sh failed", "signal: 9"]);
        told("exec sleep 60", &["did not end within 2 s", "metric timeout"]);
        told("echo 5; sleep 61.5", &["did not end within 2 s"]);
        let goes_on = || {
            let processes = fs::read_dir("/proc").map(|all| all.flatten().collect::<Vec<_>>()).unwrap_or_default();
            let command = |process: &fs::DirEntry| fs::read(process.path().join("cmdline")).unwrap_or_default();
            processes.iter().any(|process| command(process) == b"sleep\x0061.5\0")
        };
        let start = Instant::now();
        while goes_on() {
            assert!(start.elapsed() < Duration::from_secs(30), "it began another, which goes on");
        }
        told("echo ninety", &["has to print a number in its last line, and printed \"ninety\""]);
        told("echo nan", &["printed \"nan\""]);
        told("", &["printed \"\""]);
        let missing = MetricCommand::new(Path::new("no/such/program"), PATIENCE)
            .measure(&[], &AtomicBool::new(false))
            .unwrap_err();
        assert_eq!(missing, "there is no program no/such/program");
    }
}
