package io.kvcache.spi;

/** What is lastingly true of a tier. */
public enum TierTrait {
  /** Entries lie in this process's memory: {@link Tier#view} works and reading costs no I/O. */
  ADDRESSABLE,
  /** Entries survive a restart, and power loss once {@link Tier#flush} has returned. */
  DURABLE,
  /** The medium drops entries by itself, as a shared remote store does; placement sees it as unlimited. */
  SELF_EVICTING
}
