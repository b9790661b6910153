package io.kvcache;

import java.time.Duration;
import java.util.Objects;

/**
 * How KV is to be stored.
 *
 * @param leastQuality a chunk that is there with at least this quality need not be stored again, 0 to 1
 * @param waitForRoom how long to wait for room; zero answers full at once
 * @param prefillTime how long the engine took to compute the prompt's KV, from which recompute estimates are made;
 *     zero when not known
 * @param scores how much the prompt's tokens matter, for dropping methods that need it
 * @param timeToLive how long after the reservation the chunks may be used, at least a millisecond; zero for what the
 *     namespace's {@linkplain NamespaceLimits limits} say. From then on they are not found, and go; a lease taken
 *     before may come out shorter than it was. Chunks that are there already keep theirs, and one goes no later than
 *     those before it in its segment. Time is that of the wall clock
 */
public record StoreOptions(double leastQuality, Duration waitForRoom, Duration prefillTime,
    TokenScores scores, Duration timeToLive) {
  /** Checks every component. */
  public StoreOptions {
    if (!(leastQuality >= 0 && leastQuality <= 1)) {
      throw new IllegalArgumentException("leastQuality is " + leastQuality + ", must be 0 to 1");
    }
    Objects.requireNonNull(waitForRoom, "waitForRoom");
    Objects.requireNonNull(prefillTime, "prefillTime");
    Objects.requireNonNull(scores, "scores");
    if (waitForRoom.isNegative() || prefillTime.isNegative()) {
      throw new IllegalArgumentException(
          "waitForRoom is " + waitForRoom + ", prefillTime " + prefillTime + ", neither may be negative");
    }
    Objects.requireNonNull(timeToLive, "timeToLive");
    if (!timeToLive.isZero()) {
      Checks.requireMillisecond(timeToLive, "timeToLive");
    }
  }

  /** Chunks that are there in any quality are left alone; no waiting; used as long as the namespace's limits say. */
  public static StoreOptions defaults() {
    return new StoreOptions(0, Duration.ZERO, Duration.ZERO, TokenScores.none(), Duration.ZERO);
  }

  /** Storing again what is there with less than this quality. */
  public StoreOptions replacingBelow(double quality) {
    return new StoreOptions(quality, waitForRoom, prefillTime, scores, timeToLive);
  }

  /** Waiting up to this long for room. */
  public StoreOptions waitForRoom(Duration atMost) {
    return new StoreOptions(leastQuality, atMost, prefillTime, scores, timeToLive);
  }

  /** Saying how long the prefill of the whole prompt took. */
  public StoreOptions prefillTime(Duration time) {
    return new StoreOptions(leastQuality, waitForRoom, time, scores, timeToLive);
  }

  /** Giving the scores that some dropping methods need; of all tokens of the prompt. */
  public StoreOptions scores(TokenScores tokenScores) {
    return new StoreOptions(leastQuality, waitForRoom, prefillTime, tokenScores, timeToLive);
  }

  /** To be used for so long from the reservation on, at least a millisecond, whatever the namespace's limits say. */
  public StoreOptions timeToLive(Duration time) {
    return new StoreOptions(leastQuality, waitForRoom, prefillTime, scores,
        Checks.requireMillisecond(time, "timeToLive"));
  }
}
