//! What is asked of disk stores beyond the contract.

mod damaged;
mod keeping;
mod large;
