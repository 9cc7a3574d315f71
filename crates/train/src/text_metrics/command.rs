//! A metric of one's own: a program that reads what was generated, and prints a number.

use super::Prediction;
use serde::Serialize;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of its output that are kept.
const MOST_OUTPUT: u64 = 1 << 16;
/// How long it is waited for what it printed, once it has ended: a program that it began may have its output still open.
const PATIENCE: Duration = Duration::from_secs(5);
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
        // As a shell does, look in the folders of `PATH` only for a name without a folder.
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
    /// In words: where it cannot be run, does not end in time, fails, or does not print a number.
    pub fn measure(&self, predictions: &[Prediction]) -> Result<f64, String> {
        let Self { program, timeout } = self;
        let name = program.display();
        let mut input = Vec::new();
        for Prediction { source, text, references, .. } in predictions {
            let line = serde_json::to_vec(&Line { source, text, references });
            input.extend(line.map_err(|error| format!("{name} cannot be given its input: {error}"))?);
            input.push(b'\n');
        }
        let cannot = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => format!("there is no program {name}"),
            io::ErrorKind::PermissionDenied => {
                format!("{name} cannot be run: {error}. A script needs the right to be run (chmod +x)")
            }
            _ => format!("{name} cannot be run: {error}"),
        };
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(cannot)?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // It may end without having read all.
        thread::spawn(move || stdin.as_mut().map(|stdin| stdin.write_all(&input)));
        let (printed, said) = (stdout.map(collect), stderr.map(collect));
        let start = Instant::now();
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if start.elapsed() < *timeout => thread::sleep(POLL),
                waited => {
                    let _ = child.kill().and_then(|()| child.wait());
                    return Err(match waited {
                        Err(error) => format!("{name} cannot be waited for: {error}"),
                        Ok(_) => format!(
                            "{name} did not end within {} s (metric_timeout), and was stopped",
                            timeout.as_secs()
                        ),
                    });
                }
            }
        };
        let last_line = |output: Option<Receiver<Vec<u8>>>| {
            let output = output.and_then(|output| output.recv_timeout(PATIENCE).ok())?;
            let output = String::from_utf8_lossy(&output);
            output.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
        };
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

/// The first bytes of what is printed; the rest is read, so that nobody waits for it to be.
fn collect(pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let (mut pipe, mut output) = (pipe, Vec::new());
        let _ = pipe.by_ref().take(MOST_OUTPUT).read_to_end(&mut output);
        let _ = sender.send(output);
        let _ = io::copy(&mut pipe, &mut io::sink());
    });
    receiver
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
        MetricCommand::new(&path, Duration::from_secs(2)).measure(&[prediction("x\ny"), prediction("z")])
    }

    #[test]
    fn the_number_in_the_last_line_counts() {
        assert_eq!(measured("wc -l"), Ok(2.0));
        assert_eq!(measured("echo loading; cat > /dev/null; echo; echo ' -0.5 '; echo"), Ok(-0.5));
        let line = r#"{"source":"a \"b\"","text":"x\ny","references":["c","d"]}"#;
        assert_eq!(measured(&format!("read -r line; [ \"$line\" = '{line}' ] && echo 1")), Ok(1.0));
        // Much more than a pipe holds, without reading anything.
        assert_eq!(measured("head -c 1000000 /dev/zero >&2; echo 7"), Ok(7.0));
    }

    #[test]
    fn what_is_wrong_is_told() {
        let told = |script: &str, parts: &[&str]| {
            let error = measured(script).unwrap_err();
            parts.iter().for_each(|part| assert!(error.contains(part), "{error}"));
        };
        told("echo out of luck >&2; exit 3", &["metric.sh failed", "exit status: 3", "out of luck"]);
        told("kill -9 $$", &["metric.sh failed", "signal: 9"]);
        told("exec sleep 60", &["did not end within 2 s", "metric_timeout"]);
        told("echo ninety", &["has to print a number in its last line, and printed \"ninety\""]);
        told("echo nan", &["printed \"nan\""]);
        told("", &["printed \"\""]);
        let missing = MetricCommand::new(Path::new("no/such/program"), PATIENCE).measure(&[]).unwrap_err();
        assert_eq!(missing, "there is no program no/such/program");
    }
}
