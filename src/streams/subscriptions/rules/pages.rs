//! The streams of a subscription, in pages.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::refusal::Refusal;
use super::set::SubscriptionSet;
use super::subscription::Subscription;
use crate::streams::rules::Ledger;
use crate::streams::subscriptions::wire::{Page, SubscriptionId, SubscriptionView};
use crate::streams::wire::StreamPath;

/// Streams that one page looks at, most of which the pattern may not match. A page that stops there may be short, and has a
/// cursor of the next page.
const LOOKED_AT_MAX: usize = 4_000;

impl SubscriptionSet {
    /// Returns a subscription as clients see it, with one page of its streams. A failure shows once the time for a webhook call is
    /// over: the time until a call fails differs between closed ports and open ones. Errors: [`Refusal::NotFound`].
    pub(crate) fn view(
        &self,
        (now_ms, ledger): (u64, &Ledger),
        id: &SubscriptionId,
        page: &Page,
    ) -> Result<SubscriptionView, Refusal> {
        let subscription = self.find(id)?;
        let (paths, next) = self.page(ledger, subscription, page);
        Ok(SubscriptionView {
            id: id.clone(),
            terms: subscription.entry.terms.clone(),
            streams: paths.iter().filter_map(|path| subscription.view(ledger, path)).collect(),
            next,
            created_ms: subscription.entry.created_ms,
            failed: subscription.shows_failure(now_ms, self.limits.webhook_timeout_ms),
            kid: self.keys.signing_key().map(|(kid, _)| kid.clone()).unwrap_or_default(),
        })
    }

    /// Returns the paths of a page, and the last path before the next page; `None` if there is none.
    fn page(
        &self,
        ledger: &Ledger,
        subscription: &Subscription,
        page: &Page,
    ) -> (BTreeSet<StreamPath>, Option<StreamPath>) {
        let after = page.after.as_ref();
        let (mut paths, looked_at_all_until) = self.matching(ledger, subscription, page);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let until = looked_at_all_until.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let linked = subscription.links.range::<StreamPath, _>((from, until));
        let visible = linked.filter(|(path, link)| link.explicit || !self.is_wake_stream(path));
        paths.extend(visible.take(page.limit + 1).map(|(path, _)| path.clone()));
        if paths.len() <= page.limit {
            return (paths, looked_at_all_until);
        }
        let first: BTreeSet<StreamPath> = paths.into_iter().take(page.limit).collect();
        let last = first.last().cloned();
        (first, last)
    }

    /// Returns streams that the pattern matches, and the last one that was looked at if there are more.
    fn matching(
        &self,
        ledger: &Ledger,
        subscription: &Subscription,
        page: &Page,
    ) -> (BTreeSet<StreamPath>, Option<StreamPath>) {
        let mut found = BTreeSet::new();
        let Some(pattern) = &subscription.entry.terms.pattern else { return (found, None) };
        let prefix = pattern.literal_prefix();
        let mut last: Option<&StreamPath> = None;
        for (looked_at, path) in ledger.paths_from(prefix, page.after.as_ref()).enumerate() {
            if !path.as_str().starts_with(prefix) {
                break;
            }
            if looked_at == LOOKED_AT_MAX || found.len() > page.limit {
                return (found, last.cloned());
            }
            last = Some(path);
            let exists = ledger.stream(path).is_some_and(|stream| !stream.entry.deleted);
            if exists && subscription.matches(path) && !self.is_wake_stream(path) {
                found.insert(path.clone());
            }
        }
        (found, None)
    }
}
