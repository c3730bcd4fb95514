//! What is packaged with the server: every file of settings is one that it starts with.

use super::harness::{Folder, Server};

/// Where the files are.
fn packaged(name: &str) -> String {
    format!("{}/packaging/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_server_starts_with_each_packaged_file() {
    for name in ["ferrum-kv.conf", "container.conf"] {
        let folder = Folder::new();
        let file = packaged(name);
        let data = folder.file("");
        let server =
            Server::with(&[&file, "--addr", "127.0.0.1:0", "--dir", &data, "--appendonly", "yes"]);
        let mut client = server.connect();
        client.set("k", b"v");
        assert_eq!(client.ask("GET k"), "$1\r\nv\r\n");
        let warned = server.log().iter().any(|line| line.contains("no effect"));
        assert!(!warned, "{name}: {:?}", server.log());
    }
}

#[test]
fn every_setting_of_the_example_is_one_that_the_server_has() {
    let text = std::fs::read_to_string(packaged("ferrum-kv.conf")).expect("the file is there");
    let server = Server::start();
    let mut client = server.connect();
    for line in text.lines() {
        // Those that show a default are commented out: one `#`, a space, a name in small letters
        // and a value.
        let line = line.strip_prefix("# ").unwrap_or(line);
        let Some((name, _)) = line.split_once(' ') else { continue };
        let is_name = |c: char| c.is_ascii_lowercase() || c == '-';
        let is_setting = name.contains('-') || ["bind", "port", "dir", "hz"].contains(&name);
        if is_setting && name.chars().all(is_name) && !name.starts_with('-') {
            let reply = client.ask(&format!("CONFIG GET {name}"));
            assert!(reply.starts_with("*2"), "{name}: {reply}");
        }
    }
}
