/** Inner loops over arrays, written so that the JIT compiler turns them into vector code; not exported. */
package io.kvcache.compress.kernel;
