/**
 * What is plugged into the cache: {@link io.kvcache.spi.Tier} says where bytes live, {@link
 * io.kvcache.spi.Compressor} how they are encoded, {@code PlacementPolicy} which of both a segment
 * gets. Each has a contract test in the test kit.
 */
package io.kvcache.spi;
