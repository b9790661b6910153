package io.kvcache.internal.tree;

import io.kvcache.ChunkKey;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * What each namespace has in each tier, what it has claimed there, and how much it may have: one account for each that
 * has anything, so that every answer is O(1). Guarded by the cache's lock.
 */
public final class Accounts {
  private final Map<ChunkKey, Account> byRoot = new HashMap<>();

  private static final class Account {
    long quotaBytes = Long.MAX_VALUE;
    boolean pressed;
    long[] storedBytes = {0};
    long[] claimedBytes = {0};

    void reach(int tier) {
      if (tier >= storedBytes.length) {
        storedBytes = Arrays.copyOf(storedBytes, tier + 1);
        claimedBytes = Arrays.copyOf(claimedBytes, tier + 1);
      }
    }

    /** Below 0 where there is more than there may be. */
    long room(int tier) {
      return quotaBytes == Long.MAX_VALUE ? quotaBytes : quotaBytes - storedBytes[tier] - claimedBytes[tier];
    }

    boolean empty() {
      return Arrays.stream(storedBytes).sum() + Arrays.stream(claimedBytes).sum() == 0;
    }
  }

  private Account at(ChunkKey root, int tier) {
    Account account = byRoot.computeIfAbsent(root, key -> new Account());
    account.reach(tier);
    return account;
  }

  private void forgetIfEmpty(ChunkKey root, Account account) {
    if (account.empty()) {
      byRoot.remove(root);
    }
  }

  /** Entries came, or went. */
  void stored(ChunkKey root, int tier, long moreBytes) {
    if (moreBytes != 0) {
      Account account = at(root, tier);
      account.storedBytes[tier] += moreBytes;
      assert account.storedBytes[tier] >= 0 : account.storedBytes[tier] + " bytes in tier " + tier;
      forgetIfEmpty(root, account);
    }
  }

  /** Room is claimed, or no more, for entries that are on their way. */
  public void claimed(ChunkKey root, int tier, long moreBytes) {
    if (moreBytes != 0) {
      Account account = at(root, tier);
      account.claimedBytes[tier] += moreBytes;
      assert account.claimedBytes[tier] >= 0 : account.claimedBytes[tier] + " bytes claimed in tier " + tier;
      forgetIfEmpty(root, account);
    }
  }

  /**
   * Takes note of how much a namespace may have in each tier; forgotten with the last of what it has.
   *
   * @return whether that is another quota than before
   */
  public boolean limit(ChunkKey root, long quotaBytes) {
    Account account = byRoot.get(root);
    boolean changes = account != null && account.quotaBytes != quotaBytes;
    if (changes) {
      account.quotaBytes = quotaBytes;
    }
    return changes;
  }

  /** How much a namespace may have in each tier; {@link Long#MAX_VALUE} for no limit, or none known. */
  public long quotaBytes(ChunkKey root) {
    Account account = byRoot.get(root);
    return account == null ? Long.MAX_VALUE : account.quotaBytes;
  }

  /** Says that a namespace wanted more than it may have. */
  public void press(ChunkKey root) {
    Account account = byRoot.get(root);
    if (account != null) {
      account.pressed = true;
    }
  }

  /** Whether a namespace ever wanted more than it may have, as long as it has had anything. */
  public boolean pressed(ChunkKey root) {
    Account account = byRoot.get(root);
    return account != null && account.pressed;
  }

  /** What a namespace may still claim in a tier; below 0 where it has more than it may. */
  public long room(ChunkKey root, int tier) {
    Account account = byRoot.get(root);
    if (account == null) {
      return Long.MAX_VALUE;
    }
    account.reach(tier);
    return account.room(tier);
  }

  /** Bytes of a namespace's entries in a tier. */
  public long storedBytes(ChunkKey root, int tier) {
    Account account = byRoot.get(root);
    return account == null || tier >= account.storedBytes.length ? 0 : account.storedBytes[tier];
  }

  /** Namespaces that have anything. */
  int size() {
    return byRoot.size();
  }
}
