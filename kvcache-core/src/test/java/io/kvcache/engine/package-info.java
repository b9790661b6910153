/** Tests of the cache as its users see it, with real threads unless time has to stand still. */
package io.kvcache.engine;
