package io.kvcache.tiers;

import io.kvcache.spi.Tier;
import io.kvcache.testkit.TierContract;
import java.io.IOException;
import java.nio.file.Path;
import java.util.IdentityHashMap;
import java.util.Map;
import org.junit.jupiter.api.io.TempDir;

/** The contract, on a real directory; a crash is staged by opening a copy of the files of an open tier. */
final class SsdTierTest extends TierContract {
  @TempDir
  Path scratch;

  private final Map<Tier, Path> directories = new IdentityHashMap<>();
  private int created;

  @Override
  protected long capacityBytes() {
    return 16 << 20;
  }

  @Override
  protected Tier newTier(long capacityBytes) throws IOException {
    return open(scratch.resolve("tier-" + created++), capacityBytes);
  }

  @Override
  protected Tier reopen(Tier closed, long capacityBytes) throws IOException {
    return open(directories.get(closed), capacityBytes);
  }

  @Override
  protected Tier crash(Tier open, long capacityBytes) throws IOException {
    Path left = scratch.resolve("tier-" + created++);
    Directories.copy(directories.get(open), left);
    open.close();
    return open(left, capacityBytes);
  }

  private Tier open(Path directory, long capacityBytes) throws IOException {
    Tier tier = SsdTier.builder(directory, capacityBytes).stagingBytes(8 << 20).open();
    directories.put(tier, directory);
    return tier;
  }
}
