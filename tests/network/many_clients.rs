//! Hundreds of clients at once, and one more than allowed.

use super::harness::{Server, wait_until};

const CLIENTS: usize = 500;

#[test]
fn five_hundred_clients_are_served_at_once() {
    let server = Server::start();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    for round in 1..=3 {
        // Everybody asks before anybody is answered.
        for (index, client) in clients.iter_mut().enumerate() {
            client.send(
                format!("SET own:{index} {round}\r\nGET own:{index}\r\nINCR all\r\n").as_bytes(),
            );
        }
        for client in &mut clients {
            client.expect(format!("+OK\r\n$1\r\n{round}\r\n").as_bytes());
            assert!(client.reply().starts_with(b":"));
        }
    }
    assert_eq!(clients[0].ask("GET all"), "$4\r\n1500\r\n");
    assert_eq!(server.info("connected_clients"), CLIENTS as u64 + 1);
    clients.truncate(100);
    wait_until("the others have left", || server.info("connected_clients") == 101);
    assert_eq!(clients[99].ask("GET all"), "$4\r\n1500\r\n");
}

#[test]
fn connections_come_and_go_by_the_thousand() {
    let server = Server::start();
    for index in 1..=2_000 {
        assert_eq!(server.connect().ask("INCR n"), format!(":{index}\r\n"));
    }
    wait_until("all have left", || server.info("connected_clients") == 1);
}

#[test]
fn one_client_too_many_is_told_so_and_there_is_room_again_when_one_leaves() {
    const REFUSAL: &[u8] = b"-ERR max number of clients reached\r\n";
    let server = Server::with(&["--maxclients", "3"]);
    let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    }
    assert_eq!(server.connect().rest(), REFUSAL);
    for client in &mut clients {
        assert_eq!(client.ask("PING"), "+PONG\r\n");
    }
    clients.pop();
    wait_until("there is room again", || {
        let mut client = server.connect();
        // A refused client may be closed before it has sent.
        let _ = client.try_send(b"QUIT\r\n");
        client.rest() == b"+OK\r\n"
    });
}
