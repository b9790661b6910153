package io.kvcache.placement;

import io.kvcache.spi.Codings;
import io.kvcache.spi.PlacementPolicy;
import io.kvcache.testkit.PlacementPolicyContract;

class UtilityPlacementContractTest extends PlacementPolicyContract {
  @Override
  protected PlacementPolicy newPolicy() {
    return UtilityPlacement.builder().candidates(UtilityFixture.LOSSY).lossless(5).keepFull(true).build();
  }

  @Override
  protected Codings codings(long chunkBytes) {
    return UtilityFixture.codings(chunkBytes);
  }
}
