//! The handle of all subscriptions: runs the rules in the commits of the streams.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use uuid::Uuid;

use super::error::Error;
use super::keys;
use super::observer::Observer;
use super::recovery::recover;
use super::rules::{AckEndpoint, NewSubscription, Refusal, SubscriptionSet};
use super::webhook_client::WebhookClient;
use super::wire::{Acknowledgement, Claim, Delivery, Page, Pattern, Release, SubscriptionId, Terms};
use crate::store::Store;
use crate::streams;
use crate::streams::config::Config;
use crate::streams::metrics::Webhooks;
use crate::streams::rules::{Change, Ledger};
use crate::streams::wire::StreamPath;
use crate::streams::writer::Writer;
use crate::sync::lock;

/// Subscriptions read from the store, before the writer starts.
pub(in crate::streams) struct RecoveredSubscriptions {
    observer: Arc<Observer>,
}

/// The handle of all subscriptions. Cheap to clone.
#[derive(Clone)]
pub(in crate::streams) struct SubscriptionService {
    pub(super) writer: Arc<Writer>,
    /// Locked inside of the writer's lock where both are needed, never across an await.
    pub(super) set: Arc<Mutex<SubscriptionSet>>,
    pub(super) observer: Arc<Observer>,
    pub(super) webhook_client: Arc<dyn WebhookClient>,
    pub(super) webhooks: Webhooks,
    pub(super) deliveries_max: usize,
    /// The URL that receivers of webhooks are given.
    callback_url: Option<Arc<str>>,
}

impl RecoveredSubscriptions {
    /// Reads subscriptions from the store; blocks while the store reads. Errors: [`streams::Error::StoreRead`],
    /// [`streams::Error::MalformedEntry`].
    pub(in crate::streams) fn recover(
        store: &dyn Store,
        config: &Config,
        ledger: &mut Ledger,
        now_ms: u64,
    ) -> Result<Self, streams::Error> {
        let set = recover(store, config, ledger, now_ms)?;
        Ok(Self { observer: Arc::new(Observer::new(set)) })
    }

    /// Returns the observer that the writer shows its decisions.
    pub(in crate::streams) fn observer(&self) -> Arc<Observer> {
        Arc::clone(&self.observer)
    }

    /// Connects the subscriptions to the writer, which has their observer.
    pub(in crate::streams) fn start(
        self,
        writer: Arc<Writer>,
        config: &Config,
        (webhook_client, webhooks): (Arc<dyn WebhookClient>, Webhooks),
    ) -> SubscriptionService {
        let (observer, deliveries_max) = (self.observer, config.subscriptions_deliveries_max);
        let set = Arc::clone(observer.set());
        let callback_url = config.callback_url().map(Arc::from);
        SubscriptionService { writer, set, observer, webhook_client, webhooks, deliveries_max, callback_url }
    }
}

impl SubscriptionService {
    /// Creates a subscription, and returns true beside its view; an equal one that exists is returned unchanged. `mount`
    /// is the path of the root of all streams. Errors: [`Error::UrlRejected`], [`Error::NoPublicUrl`], [`Error::Refused`],
    /// [`streams::Error::NoRoom`], those of [`SubscriptionService::decide`].
    pub(super) async fn create(&self, id: &SubscriptionId, terms: Terms, mount: &str) -> Result<(Value, bool), Error> {
        if let Delivery::Webhook { url } = &terms.delivery {
            self.webhook_client.check(url)?;
            if self.callback_url.is_none() {
                return Err(Error::NoPublicUrl);
            }
        }
        self.check_free_space()?;
        let nonce = Uuid::new_v4().simple().to_string().into();
        let subscription = NewSubscription { terms, mount: mount.to_owned(), nonce };
        self.rotate_keys().await?;
        let (view, created) = self
            .decide(|set, ledger, now_ms, changes| {
                self.observer.enable();
                set.create((now_ms, ledger), id, subscription, changes)
            })
            .await?;
        if created {
            tracing::info!(subscription = %id, "subscription created");
        }
        Ok((view.to_json(&self.base(mount)), created))
    }

    /// Returns a subscription as clients see it, with one page of its streams. Errors: [`Error::Refused`], those of
    /// [`SubscriptionService::decide`].
    pub(super) async fn get(&self, id: &SubscriptionId, page: &Page, mount: &str) -> Result<Value, Error> {
        let view = self.decide(|set, ledger, now_ms, _| set.view((now_ms, ledger), id, page)).await?;
        Ok(view.to_json(&self.base(mount)))
    }

    /// Returns the root URL of all streams; only its path if the URL of the server is not known.
    fn base(&self, mount: &str) -> String {
        format!("{}{mount}", self.callback_url.as_deref().unwrap_or_default())
    }

    /// Returns the pattern and the streams that a subscription is about. Errors: those of [`SubscriptionService::get`].
    pub(super) async fn objects(&self, id: &SubscriptionId) -> Result<(Option<Pattern>, Vec<StreamPath>), Error> {
        self.decide(|set, _, _, _| set.objects(id)).await
    }

    /// Deletes a subscription, if it exists. Errors: those of [`SubscriptionService::decide`].
    pub(super) async fn delete(&self, id: &SubscriptionId) -> Result<(), Error> {
        let delete = |set: &mut SubscriptionSet, ledger: &mut Ledger, _, changes: &mut Vec<Change>| {
            set.delete(ledger, id, changes);
            Ok(())
        };
        self.decide(delete).await
    }

    /// Links streams by name. Errors: [`Error::Refused`], those of [`SubscriptionService::decide`].
    pub(super) async fn add_links(&self, id: &SubscriptionId, paths: BTreeSet<StreamPath>) -> Result<(), Error> {
        self.check_free_space()?;
        self.decide(|set, ledger, _, changes| set.add_links(ledger, id, paths, changes)).await
    }

    /// Removes a link made by name. Errors: [`Error::Refused`], those of [`SubscriptionService::decide`].
    pub(super) async fn remove_link(&self, id: &SubscriptionId, path: &StreamPath) -> Result<(), Error> {
        self.decide(|set, ledger, _, changes| set.remove_link(ledger, id, path, changes)).await
    }

    /// Leases the current wake to a worker. Errors: [`Error::Refused`], those of [`SubscriptionService::decide`].
    pub(super) async fn claim(&self, id: &SubscriptionId, claim: Claim) -> Result<Value, Error> {
        let claimed = self.decide(|set, ledger, now_ms, changes| set.claim((now_ms, ledger), id, claim, changes));
        Ok(claimed.await?.to_json())
    }

    /// Acknowledges offsets. Errors: [`Error::Refused`], those of [`SubscriptionService::decide`].
    pub(super) async fn acknowledge(
        &self,
        caller: (&SubscriptionId, AckEndpoint, Option<&str>),
        request: &Acknowledgement,
    ) -> Result<Value, Error> {
        let next = self
            .decide(|set, ledger, now_ms, changes| set.acknowledge((now_ms, ledger), caller, request, changes))
            .await?;
        Ok(json!({"ok": true, "next_wake": next}))
    }

    /// Ends a wake without acknowledging anything. Errors: [`Error::Refused`], those of
    /// [`SubscriptionService::decide`].
    pub(super) async fn release(
        &self,
        caller: (&SubscriptionId, Option<&str>),
        request: &Release,
    ) -> Result<(), Error> {
        self.decide(|set, _, now_ms, changes| set.release(now_ms, caller, request, changes)).await
    }

    /// Returns the keys that verify webhooks, and generates the first one if there is none. Errors: [`Error::Keys`],
    /// those of [`SubscriptionService::decide`].
    pub(super) async fn jwks(&self) -> Result<Value, Error> {
        self.rotate_keys().await?;
        Ok(self.decide(|set, _, _, _| Ok(set.keys.jwks())).await?.to_json())
    }

    /// Generates a new signing key if one is due. Errors: [`Error::Keys`], those of [`SubscriptionService::decide`].
    pub(super) async fn rotate_keys(&self) -> Result<(), Error> {
        let now_ms = self.writer.clock.now_ms();
        if lock(&self.set).keys.rotation_due_ms() > now_ms {
            return Ok(());
        }
        let (secret, key) = keys::generate(now_ms)?;
        let rotate = |set: &mut SubscriptionSet, _: &mut Ledger, now_ms, changes: &mut Vec<Change>| {
            set.keys.rotate(now_ms, &secret, key, changes);
            Ok(())
        };
        self.decide(rotate).await
    }

    /// Checks that the store has free space. Errors: [`streams::Error::NoRoom`].
    fn check_free_space(&self) -> Result<(), Error> {
        Ok(self.writer.reserve(0).map(drop)?)
    }

    /// Runs `rule`, and returns once its changes are committed. Errors: [`Error::Refused`]; [`streams::Error::Busy`] and
    /// [`streams::Error::StoreFailed`]. Not cancel-safe.
    pub(super) async fn decide<A>(
        &self,
        rule: impl FnOnce(&mut SubscriptionSet, &mut Ledger, u64, &mut Vec<Change>) -> Result<A, Refusal>,
    ) -> Result<A, Error> {
        let decided = self.writer.submit(|ledger, now_ms, changes| {
            let mut set = lock(&self.set);
            set.flush(changes);
            Ok(rule(&mut set, ledger, now_ms, changes))
        });
        let answer = decided.await?;
        // The decision may have made something due earlier.
        self.observer.wake();
        Ok(answer?)
    }
}
