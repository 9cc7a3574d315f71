//! The built-in demo, at its small size.

mod common;

use common::Folder;
use std::process::Command;

/// The lines that it ends with are commands, and work in the shell as they stand.
#[test]
#[cfg(unix)]
fn what_a_demo_advises_works_as_it_stands() {
    let folder = Folder::new();
    let output = folder.succeed(&["demo", "--small", "--run", "my demo"]);
    let advised: Vec<&str> = output.lines().filter(|line| line.contains(" generate ")).collect();
    assert_eq!(advised.len(), 2, "{output}");
    for line in advised {
        assert!(line.contains("'my demo'"), "{line}");
        let done = Command::new("sh").args(["-c", line]).current_dir(folder.path("")).output();
        let done = done.expect("a shell");
        assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8_lossy(&done.stdout).lines().count(), 1, "{line}");
    }
}
