//! Access control of listeners: hosts and web pages, who is calling, what they may do, CORS, and the proxies in front of them.
//! Also the compression of responses.

mod compression;
mod config;
mod control;
mod cors;
mod credentials;
mod digest;
mod forwarded;
mod grants;
mod listener;
mod principal;
mod refusals;
mod rules;
mod token;

pub(crate) use compression::compress;
pub use config::{Config as AccessConfig, RuleConfig, TokenConfig};
pub(crate) use control::{Authorizer, Control, Identified, hides_details, is_forwarded, rules_of, without_details};
pub(crate) use cors::{Cors, CorsSettings};
pub use credentials::Error as AccessError;
pub(crate) use credentials::{KeySet, Origin as KeyOrigin, SECRET_BYTES_MIN, parse_hash, token_of_file};
pub(crate) use digest::TokenDigest;
pub(crate) use forwarded::{Original, TrustedProxies, network};
pub(crate) use grants::{
    allow, allow_some, allow_target, describe, is_for_its_caller, is_in_force, needing, right, rights_of,
};
pub use listener::Access;
pub(crate) use principal::{Identity, Principal};
pub(crate) use refusals::RefusalMetrics;
pub(crate) use rules::{Decision, Origins, Reach, Rule, System, Target, Verb, Written};
pub(crate) use token::{bearer_token, equals_secret};
