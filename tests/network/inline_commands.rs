//! Commands typed by hand, with Redis's rules of quoting.

use super::harness::{Server, show};

#[test]
fn quotes_and_escapes_are_those_of_redis() {
    let server = Server::start();
    let mut client = server.connect();
    let cases: [(&str, &[u8]); 13] = [
        ("ECHO plain", b"plain"),
        ("  ECHO \t plain  ", b"plain"),
        ("echo \"with space\"", b"with space"),
        ("ECHO 'single \"inside\"'", b"single \"inside\""),
        (r#"ECHO 'it\'s'"#, b"it's"),
        (r#"ECHO "a \"b\"""#, b"a \"b\""),
        (r#"ECHO "\n\r\t\b\a""#, b"\n\r\t\x08\x07"),
        (r#"ECHO "\x00\xff\xFe\x7A""#, b"\x00\xff\xfez"),
        (r#"ECHO "\xg1\q\\""#, b"xg1q\\"),
        (r#"ECHO '\n\x41'"#, br"\n\x41"),
        (r#"ECHO """#, b""),
        ("ECHO ''", b""),
        (r"ECHO back\slash", br"back\slash"),
    ];
    for (line, argument) in cases {
        client.send(format!("{line}\r\n").as_bytes());
        let expected = [format!("${}\r\n", argument.len()).as_bytes(), argument, b"\r\n"].concat();
        let reply = client.reply();
        assert_eq!(show(&reply), show(&expected), "{line}");
    }
}

#[test]
fn a_closing_quote_must_end_the_argument() {
    let server = Server::start();
    for line in [r#"ECHO "a"b"#, "ECHO 'a'b", r#"ECHO a"b c"d"#, r#"ECHO "a"#, r"ECHO 'a\'"] {
        let mut client = server.connect();
        client.send(format!("{line}\r\n").as_bytes());
        let expected = b"-ERR Protocol error: unbalanced quotes in request\r\n";
        assert_eq!(show(&client.rest()), show(expected), "{line}");
    }
}

#[test]
fn a_line_may_end_in_a_newline_alone() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"SET k v\nGET k\n");
    client.expect(b"+OK\r\n$1\r\nv\r\n");
}

#[test]
fn inline_and_array_commands_mix_in_one_pipeline() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(
        b"SET k 1\r\n*2\r\n$4\r\nINCR\r\n$1\r\nk\r\nINCRBY k 10\r\n*1\r\n$4\r\nPING\r\nGET k\r\n",
    );
    client.expect(b"+OK\r\n:2\r\n:12\r\n+PONG\r\n$2\r\n12\r\n");
}

#[test]
fn a_line_of_nearly_64_kib_is_taken() {
    let server = Server::start();
    let mut client = server.connect();
    let value = vec![b'v'; 65_000];
    client.send(&[b"SET k ".as_slice(), &value, b"\r\nSTRLEN k\r\n"].concat());
    client.expect(b"+OK\r\n:65000\r\n");
}
