package io.kvcache.internal.engine;

import io.kvcache.ChunkKey;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;

/** The claims in flight: a chunk is in one of them at most. Guarded by the inventory's lock. */
final class Claims {
  private final Map<ChunkKey, Claim> byKey = new HashMap<>();
  /** Claims whose entries are on their way into a tier, or back out of it. */
  private final Set<Claim> committing = Collections.newSetFromMap(new IdentityHashMap<>());
  /** Claims whose chunks were removed meanwhile: nothing of them may become visible. */
  private final Set<Claim> cancelled = Collections.newSetFromMap(new IdentityHashMap<>());

  boolean contains(ChunkKey key) {
    return byKey.containsKey(key);
  }

  void add(Claim claim) {
    claim.claimed().forEach(key -> byKey.put(key, claim));
  }

  /** Says that entries are about to be committed; false when the claim was cancelled. */
  boolean beginCommit(Claim claim) {
    return !cancelled.contains(claim) && committing.add(claim);
  }

  boolean cancelled(Claim claim) {
    return cancelled.contains(claim);
  }

  boolean committing(List<Claim> any) {
    return any.stream().anyMatch(committing::contains);
  }

  /** Its chunks are visible: from now on they are removed as those of others are. */
  void published(Claim claim) {
    committing.remove(claim);
    free(claim);
  }

  /** The claim is over; its chunks can be claimed again. */
  void end(Claim claim) {
    published(claim);
    cancelled.remove(claim);
  }

  /**
   * Cancels claims. What has not begun to commit never will, so that its chunks can be claimed again at once.
   *
   * @return those that are committing
   */
  List<Claim> cancel(Predicate<Claim> which) {
    Set<Claim> open = Collections.newSetFromMap(new IdentityHashMap<>());
    byKey.values().stream().filter(which).forEach(open::add);
    cancelled.addAll(open);
    List<Claim> writing = new ArrayList<>();
    for (Claim claim : open) {
      if (committing.contains(claim)) {
        writing.add(claim);
      } else {
        free(claim);
      }
    }
    return writing;
  }

  private void free(Claim claim) {
    for (ChunkKey key : claim.claimed()) {
      if (byKey.get(key) == claim) {
        byKey.remove(key);
      }
    }
  }
}
