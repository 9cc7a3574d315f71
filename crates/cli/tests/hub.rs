//! Models fetched by name, from a hub on this machine.

mod common;

use common::{Folder, finish};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// Serves one model, `owner/name`, as the hub does.
struct Hub {
    address: String,
    /// Whether the next answer with weights is to break off in the middle.
    breaks: Arc<AtomicBool>,
    /// From where on the weights were asked for last.
    asked_from: Arc<AtomicU64>,
}

impl Hub {
    fn of(model: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (breaks, asked_from) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let shared = (breaks.clone(), asked_from.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that leaves is no failure of the hub.
                let _ = answer(stream, &model, &shared.0, &shared.1);
            }
        });
        Self { address, breaks, asked_from }
    }
}

fn answer(mut stream: TcpStream, model: &PathBuf, breaks: &AtomicBool, asked_from: &AtomicU64) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut range = (0, None);
    for line in lines.map_while(Result::ok).take_while(|line| !line.is_empty()) {
        let line = line.to_ascii_lowercase();
        if let Some((from, to)) = line.strip_prefix("range: bytes=").and_then(|range| range.split_once('-')) {
            range = (from.parse().unwrap(), to.parse().ok());
        }
    }
    let body = if path == "/api/models/owner/name/revision/main" {
        let names = fs::read_dir(model)?.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let siblings: Vec<String> = names.map(|name| format!(r#"{{"rfilename": "{name}"}}"#)).collect();
        format!(r#"{{"siblings": [{}], "sha": "{COMMIT}"}}"#, siblings.join(", ")).into_bytes()
    } else if let Some(name) = path.strip_prefix(&format!("/owner/name/resolve/{COMMIT}/")) {
        fs::read(model.join(name))?
    } else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let end = range.1.map_or(body.len(), |to: usize| to + 1);
    let part = &body[range.0.min(end)..end];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {}-{}/{}\r\nETag: \"{:08x}\"\r\n\
         X-Repo-Commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        part.len(),
        range.0,
        end.saturating_sub(1),
        body.len(),
        path.bytes().fold(body.len(), |hash, byte| hash.wrapping_mul(31) + usize::from(byte)) as u32,
    );
    stream.write_all(head.as_bytes())?;
    let weights = path.ends_with(".safetensors") && range.1.is_none();
    if weights {
        asked_from.store(range.0 as u64, Ordering::SeqCst);
    }
    let sent = if weights && breaks.swap(false, Ordering::SeqCst) { part.len() / 2 } else { part.len() };
    stream.write_all(&part[..sent])
}

fn import(folder: &Folder, hub: &str, name: &str, run: &str) -> Output {
    let mut command = folder.command(&["import", name, "--run", run]);
    command.env("HF_HOME", folder.path("hub")).env("HF_ENDPOINT", hub).env_remove("HF_TOKEN");
    finish(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.starts_with("error: ") && !error.contains("panicked"), "{error}");
    parts.iter().for_each(|part| assert!(error.contains(part), "should say {part:?}: {error}"));
}

#[test]
fn a_model_is_fetched_by_name_once_and_found_again_without_a_network() {
    let folder = Folder::new();
    let model = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/tests/reference/llama"));
    folder.succeed(&["import", model.to_str().unwrap(), "--run", "of-the-folder"]);
    let hub = Hub::of(model);
    // Nothing listens there.
    let nowhere = "http://127.0.0.1:1";
    refused(&import(&folder, nowhere, "hf:owner/name", "run"), &["owner/name", "Is there a network?"]);
    refused(&import(&folder, &hub.address, "hf:owner/other", "run"), &["owner/other", "There is no such model"]);
    refused(&import(&folder, &hub.address, "hf:owner/na me", "run"), &["hf:OWNER/NAME"]);
    assert!(!folder.path("run").exists());

    hub.breaks.store(true, Ordering::SeqCst);
    refused(&import(&folder, &hub.address, "hf:owner/name", "run"), &["owner/name"]);
    assert!(!folder.path("run").exists());
    let output = import(&folder, &hub.address, "hf:owner/name", "run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(hub.asked_from.load(Ordering::SeqCst) > 0, "the rest alone is fetched");
    let output = import(&folder, nowhere, "hf:owner/name", "again");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for run in ["run", "again"] {
        assert!(folder.weights(run) == folder.weights("of-the-folder"), "{run}");
    }
}
