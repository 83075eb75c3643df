//! The integration tests: one binary, one module per subject.

mod calendar;
mod cli_check;
mod cli_process;
mod cli_usage;
mod cli_windows;
mod cloud_credential;
mod cloud_read;
mod cloud_server;
mod cloud_sim;
mod cloud_submit;
mod config_defaults;
mod config_environment;
mod config_files;
mod config_fuzz;
mod config_golden;
mod config_load;
mod config_secrets;
mod postgres;
mod sim_http;
mod store_commit;
mod store_faults;
mod store_refusal;
mod store_rows;
mod store_samples;
mod store_statements;
mod store_verify;
