//! The handle: runs the rules in the streams' own commits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use super::delivery::Post;
use super::error::Error;
use super::keys;
use super::recovery::recover;
use super::rules::{Board, Refusal, Way, Wish};
use super::wire::{Acknowledgement, Claim, Delivery, Release, SubscriptionId, Terms};
use crate::store::Store;
use crate::streams;
use crate::streams::config::Config;
use crate::streams::metrics::Webhooks;
use crate::streams::rules::{Change, Ledger};
use crate::streams::wire::StreamPath;
use crate::streams::writer::Writer;
use crate::sync::lock;

/// What the store has kept of subscriptions, until there is a writer.
pub(in crate::streams) struct Subscriptions {
    board: Board,
}

/// All subscriptions. Cheap to clone.
#[derive(Clone)]
pub(in crate::streams) struct Running {
    pub(super) writer: Arc<Writer>,
    /// Locked for lines, after the writer's desk where both are needed.
    pub(super) board: Arc<Mutex<Board>>,
    pub(super) post: Arc<dyn Post>,
    pub(super) webhooks: Webhooks,
    pub(super) deliveries_max: usize,
}

impl Subscriptions {
    /// Reads what is kept, blocking as the store is. Errors: [`streams::Error::StoreRead`], [`streams::Error::MalformedEntry`].
    pub(in crate::streams) fn recover(
        store: &dyn Store,
        config: &Config,
        ledger: &mut Ledger,
        now_ms: u64,
    ) -> Result<Self, streams::Error> {
        Ok(Self { board: recover(store, config, ledger, now_ms)? })
    }

    /// From now on they hear of what the writer shows. Comes before anything is written.
    pub(in crate::streams) fn start(
        self,
        writer: Arc<Writer>,
        config: &Config,
        (post, webhooks): (Arc<dyn Post>, Webhooks),
    ) -> Running {
        if !self.board.is_empty() {
            writer.notices().want();
        }
        let deliveries_max = config.subscriptions_deliveries_max;
        Running { writer, board: Arc::new(Mutex::new(self.board)), post, webhooks, deliveries_max }
    }
}

impl Running {
    /// Creates the subscription or finds it, and whether it is new. `base` is the root of all streams as the caller
    /// reaches it. Errors: [`Error::UrlRejected`], [`Error::Refused`], [`streams::Error::NoRoom`], those of [`Running::decide`].
    pub(super) async fn create(&self, id: &SubscriptionId, terms: Terms, base: &str) -> Result<(Value, bool), Error> {
        if let Delivery::Webhook { url } = &terms.delivery {
            self.post.check(url)?;
        }
        self.check_room()?;
        let nonce = Uuid::new_v4().simple().to_string().into();
        let wish = Wish { terms, base: base.to_owned(), nonce };
        self.renew_keys().await?;
        let (view, new) = self
            .decide(|board, ledger, now_ms, changes| {
                self.writer.notices().want();
                board.create((now_ms, ledger), id, wish, changes)
            })
            .await?;
        if new {
            tracing::info!(subscription = %id, "subscription created");
        }
        Ok((view.to_json(base), new))
    }

    /// The subscription as clients see it. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn get(&self, id: &SubscriptionId, base: &str) -> Result<Value, Error> {
        Ok(self.decide(|board, _, _, _| board.view(id)).await?.to_json(base))
    }

    /// Takes the subscription away, if there is one. Errors: those of [`Running::decide`].
    pub(super) async fn delete(&self, id: &SubscriptionId) -> Result<(), Error> {
        let delete = |board: &mut Board, _: &mut Ledger, _, changes: &mut Vec<Change>| {
            board.delete(id, changes);
            Ok(())
        };
        self.decide(delete).await
    }

    /// Names streams. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn add_links(&self, id: &SubscriptionId, paths: BTreeSet<StreamPath>) -> Result<(), Error> {
        self.check_room()?;
        self.decide(|board, ledger, _, changes| board.add_links(ledger, id, paths, changes)).await
    }

    /// Takes the name of a stream back. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn remove_link(&self, id: &SubscriptionId, path: &StreamPath) -> Result<(), Error> {
        self.decide(|board, _, _, changes| board.remove_link(id, path, changes)).await
    }

    /// Gives work to a worker. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn claim(&self, id: &SubscriptionId, claim: Claim) -> Result<Value, Error> {
        Ok(self.decide(|board, _, now_ms, changes| board.claim(now_ms, id, claim, changes)).await?.to_json())
    }

    /// Takes places as acknowledged. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn acknowledge(
        &self,
        caller: (&SubscriptionId, Way, Option<&str>),
        request: &Acknowledgement,
    ) -> Result<Value, Error> {
        let next = self.decide(|board, _, now_ms, changes| board.acknowledge(now_ms, caller, request, changes)).await?;
        Ok(json!({"ok": true, "next_wake": next}))
    }

    /// Takes work back. Errors: [`Error::Refused`], those of [`Running::decide`].
    pub(super) async fn release(
        &self,
        caller: (&SubscriptionId, Option<&str>),
        request: &Release,
    ) -> Result<(), Error> {
        self.decide(|board, _, now_ms, changes| board.release(now_ms, caller, request, changes)).await
    }

    /// The keys that webhooks can be verified with; makes the first one. Errors: [`Error::Keys`], those of
    /// [`Running::decide`].
    pub(super) async fn jwks(&self) -> Result<Value, Error> {
        self.renew_keys().await?;
        Ok(self.decide(|board, _, _, _| Ok(board.jwks())).await?.to_json())
    }

    /// Makes a new signing key if one is due. Errors: [`Error::Keys`], those of [`Running::decide`].
    pub(super) async fn renew_keys(&self) -> Result<(), Error> {
        let now_ms = self.writer.clock.now_ms();
        if lock(&self.board).keys_due_ms() > now_ms {
            return Ok(());
        }
        let (secret, key) = keys::fresh(now_ms)?;
        let renew = |board: &mut Board, _: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            board.renew_keys(now_ms, &secret, key, changes);
            Ok(())
        };
        self.decide(renew).await
    }

    /// Errors: [`streams::Error::NoRoom`].
    fn check_room(&self) -> Result<(), Error> {
        Ok(self.writer.reserve(0).map(drop)?)
    }

    /// Decides with everything that was shown so far, and answers when the decision is written.
    /// Errors: [`Error::Refused`]; [`streams::Error::Busy`] and [`streams::Error::StoreFailed`]. Not cancel-safe.
    pub(super) async fn decide<A>(
        &self,
        rule: impl FnOnce(&mut Board, &mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        let decided = self.writer.submit(|ledger, now_ms, changes| {
            let mut board = lock(&self.board);
            self.catch_up(&mut board);
            board.flush(changes);
            Ok(rule(&mut board, ledger, now_ms, changes))
        });
        let answer = decided.await?;
        // There may be something to do sooner than planned.
        self.writer.notices().ring();
        Ok(answer?)
    }

    /// Tells the board what was shown since the last time.
    pub(super) fn catch_up(&self, board: &mut Board) {
        let notices = self.writer.notices().take();
        let without_room: usize = notices.into_iter().map(|(path, seen)| board.observe(&path, seen)).sum();
        if without_room > 0 {
            tracing::warn!(
                links = without_room,
                "streams are not linked: their subscriptions have streams.subscriptions_links_max of them"
            );
        }
    }
}
