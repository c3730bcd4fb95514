//! What is told to others, as it leaves the engine.

use super::Server;
use crate::commands::Parcel;
use crate::sync::{Arc, Mutex};

#[test]
fn a_message_of_a_transaction_does_not_precede_it_on_the_disk() {
    let mut server = Server::new();
    let _consumer = server.state.keyspace.start_log(1 << 10);
    let log = server.state.keyspace.log().expect("it was started");
    log.set_strict(true);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&sent);
    server.state.post.open(vec![Box::new(move |parcel| {
        if let Parcel::Deliver(_, letter) = parcel {
            noted.lock().expect("no panic").push(letter.exposed);
        }
    })]);
    let mut listener = server.connect();
    listener.client.id = 8;
    server.line(&mut listener, "SUBSCRIBE c");
    let mut other = server.connect();
    let mut last = 0;
    // The second one runs alone.
    for query in ["GET k", "DBSIZE"] {
        for line in ["MULTI", "SET k 1", "PUBLISH c changed", query, "EXEC", "PUBLISH c again"] {
            server.line(&mut other, line);
        }
        let end = server.state.keyspace.log().map_or(0, |log| log.ring().tail());
        assert!(end > last);
        last = end;
        assert_eq!(std::mem::take(&mut *sent.lock().expect("no panic")), [end, end], "{query}");
    }
}
