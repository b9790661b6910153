package io.kvcache.simulation;

/** The power has failed: whatever the cache was doing ends here. Nothing that handles failures may catch it. */
final class PowerLoss extends Error {
  private static final long serialVersionUID = 1;

  PowerLoss() {
    super("the power has failed", null, false, false);
  }
}
