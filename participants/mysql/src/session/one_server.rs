//! The one server that all sessions of a participant are on.
//!
//! An address can come to be answered by another server: a proxy or a name is switched to a replica
//! that was promoted, or a server is restored and started again. Then sessions to the server before
//! and to the one after can be open at the same time, and using both would part the purchases
//! between them. So each new session tells which server it is on, the first sight of another one
//! ends the *term* of the one before, no session of an ended term is used again, and coordinators
//! have to enlist in each term.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tandem_participant::Error;
use tandem_protocol::TransactionId;

use crate::session::connection::Session;
use crate::session::joined::Joined;
use crate::session::server::Server;

/// Commits that are remembered for [`OneServer::has_shown`]: many more than a prepare names.
const SHOWN_MAX: usize = 256;

/// Which server it is, and what it has shown.
#[derive(Debug, Default)]
pub(crate) struct OneServer(Mutex<State>);

/// A moment of the present term.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    term: u64,
    /// How many sessions had joined.
    sessions: u64,
}

/// Connections that were there before one was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    /// The highest id among them.
    connection_id: u64,
}

#[derive(Debug, Default)]
struct State {
    /// `None` until the first session of the term has joined.
    server: Option<Arc<Server>>,
    /// Grows by one when the server is found to be another one.
    term: u64,
    /// Sessions that have joined in all.
    sessions: u64,
    /// The highest connection id in this term.
    connection_id: u64,
    /// Commits that this process saw in this term, and how many sessions had joined before.
    shown: HashMap<TransactionId, u64>,
    /// The same, oldest first.
    oldest: VecDeque<TransactionId>,
}

impl OneServer {
    /// What is to be taken before a connection is made, for [`OneServer::join`].
    pub(crate) fn before(&self) -> Before {
        Before {
            connection_id: self.state().connection_id,
        }
    }

    /// Joins a new session to the others. Where it is on another server than they are, or on a later
    /// run of it, their term ends, nobody is enlisted any more, and the session is refused.
    pub(crate) fn join(&self, session: &mut Session, before: Before) -> Result<(), Error> {
        let mut state = self.state();
        if let Some(known) = state.end_term_at(session, before) {
            return Err(Error::NotEnlisted {
                detail: format!(
                    "the server at this address is {} now, and was {} when the coordinator \
                     enlisted: it was started again, or another one has taken its place",
                    described(&session.server),
                    described(&known)
                ),
            });
        }
        state.take(session);
        Ok(())
    }

    /// The same for a session that is opened to see who answers now: where it is another server, it
    /// is the one from now on.
    pub(crate) fn lead(&self, session: &mut Session, before: Before) {
        let mut state = self.state();
        state.end_term_at(session, before);
        state.take(session);
    }

    /// The server's name for people, once a session has joined.
    pub(crate) fn name(&self) -> Option<String> {
        let state = self.state();
        state.server.as_ref().map(|server| server.name.clone())
    }

    /// The present term. What is known of coordinators holds within it.
    pub(crate) fn term(&self) -> u64 {
        self.state().term
    }

    /// Now, for [`OneServer::is_still`] and [`OneServer::note_committed`].
    pub(crate) fn now(&self) -> Moment {
        let state = self.state();
        Moment {
            term: state.term,
            sessions: state.sessions,
        }
    }

    /// Whether the term of that moment has not ended.
    pub(crate) fn is_still(&self, moment: Moment) -> bool {
        self.state().term == moment.term
    }

    /// Whether the session is on the server that all are on now.
    pub(crate) fn is_home_of(&self, session: &Session) -> bool {
        self.state().term == session.joined.term
    }

    /// Notes that the transaction was seen committed, by a call that began at this moment.
    pub(crate) fn note_committed(&self, transaction: &TransactionId, begun: Moment) {
        let mut state = self.state();
        if state.term != begun.term {
            return;
        }
        let known = state.shown.insert(transaction.clone(), begun.sessions);
        if known.is_some() {
            return;
        }
        state.oldest.push_back(transaction.clone());
        if state.oldest.len() > SHOWN_MAX
            && let Some(oldest) = state.oldest.pop_front()
        {
            state.shown.remove(&oldest);
        }
    }

    /// Whether the session itself proves that its server knows of the commit: it was connected when
    /// the server committed, and a server does not go back in time under an open connection.
    pub(crate) fn has_shown(&self, transaction: &TransactionId, session: &Session) -> bool {
        let state = self.state();
        let then = state.shown.get(transaction);
        state.term == session.joined.term && then.is_some_and(|then| session.joined.ordinal < *then)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Ends the term if the session shows another server, and gives the one before. Connection ids
    /// only grow in one run of a server, so a lower one tells two runs apart that began in the same
    /// second.
    fn end_term_at(&mut self, session: &Session, before: Before) -> Option<Arc<Server>> {
        let known = self.server.as_ref()?;
        let is_same = known.identity == session.server.identity;
        // A term that ended meanwhile has begun to count anew.
        let is_later = session.id > before.connection_id.min(self.connection_id);
        if is_same && is_later {
            return None;
        }
        tracing::warn!(
            before = described(known),
            now = described(&session.server),
            "another server, or another run of it, answers now: coordinators have to enlist again"
        );
        let known = self.server.take();
        *self = State {
            term: self.term + 1,
            sessions: self.sessions,
            ..State::default()
        };
        known
    }

    fn take(&mut self, session: &mut Session) {
        self.server
            .get_or_insert_with(|| Arc::clone(&session.server));
        self.connection_id = self.connection_id.max(session.id);
        session.joined = Joined {
            term: self.term,
            ordinal: self.sessions,
        };
        self.sessions += 1;
    }
}

fn described(server: &Server) -> String {
    format!(
        "{} ({}, started at {})",
        server.place, server.name, server.start
    )
}
