//! Who is at the other end of the socket: the kernel says, so nobody can claim to be another.

use std::sync::Arc;

use tokio::net::UnixStream;

/// Where names of users are looked up. Directory services are not asked: a name is a comfort, the
/// number is what counts.
const USERS: &str = "/etc/passwd";

/// The peer as the kernel knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Actor {
    user: u32,
    process: Option<i32>,
}

/// `None` if the kernel does not say.
pub(super) fn of(stream: &UnixStream) -> Option<Actor> {
    let credentials = stream.peer_cred().ok()?;
    Some(Actor { user: credentials.uid(), process: credentials.pid() })
}

impl Actor {
    /// `1000/alice pid 4242`: what stands in the ledger.
    pub async fn text(self) -> Arc<str> {
        let users = tokio::fs::read_to_string(USERS).await.unwrap_or_default();
        self.named(&users).into()
    }

    fn named(self, users: &str) -> String {
        let name = users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(self.user)).then_some(name)
        });
        let process = self.process.map(|process| format!(" pid {process}")).unwrap_or_default();
        format!("{}/{}{process}", self.user, name.unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\n";

    #[test]
    fn an_actor_has_number_name_and_process() {
        let alice = Actor { user: 1000, process: Some(42) };
        assert_eq!(alice.named(USERS), "1000/alice pid 42");
    }

    #[test]
    fn an_unknown_user_keeps_the_number() {
        let nobody = Actor { user: 65_534, process: None };
        assert_eq!(nobody.named(USERS), "65534/?");
    }
}
