package io.kvcache.internal.engine;

import io.kvcache.spi.EntryId;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Entries that have left the tree and may still be in their tier. Each is here until every removal that was promised
 * for it has been carried out: nothing may be stored anew under its id before, since a late removal would hit that.
 * Threads: any.
 */
final class Departures {
  private final Map<EntryId, State> byId = new ConcurrentHashMap<>();

  /**
   * How far an entry is.
   *
   * @param promised removals that are still to be carried out
   * @param failed whether the latest one failed
   */
  private record State(int promised, boolean failed) {
    static State withOneMore(State state) {
      return state == null ? new State(1, false) : new State(state.promised + 1, state.failed);
    }
  }

  boolean contains(EntryId id) {
    return byId.containsKey(id);
  }

  /** Promises a removal. */
  void promise(EntryId id) {
    byId.compute(id, (key, state) -> State.withOneMore(state));
  }

  /** Promises one more removal of everything that is here; returns what that is. */
  List<EntryId> promiseAll() {
    List<EntryId> all = new ArrayList<>();
    for (EntryId id : byId.keySet()) {
      if (byId.computeIfPresent(id, (key, state) -> State.withOneMore(state)) != null) {
        all.add(id);
      }
    }
    return all;
  }

  /** Whether there is something that could not be removed and nobody is about to. */
  boolean anyFailed() {
    return byId.containsValue(new State(0, true));
  }

  /** Promises another removal of what could not be removed and nobody is about to; returns what that is. */
  List<EntryId> promiseFailed() {
    List<EntryId> all = new ArrayList<>();
    for (EntryId id : byId.keySet()) {
      if (byId.replace(id, new State(0, true), new State(1, true))) {
        all.add(id);
      }
    }
    return all;
  }

  /** A promised removal of each was carried out, or failed; what failed stays until a later one does not. */
  void kept(Collection<EntryId> ids, boolean gone) {
    for (EntryId id : ids) {
      byId.compute(id, (key, state) -> {
        int left = state.promised - 1;
        return gone && left == 0 ? null : new State(left, !gone);
      });
    }
  }
}
