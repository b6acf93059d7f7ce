"""Claims, leases and the hot ledger in Redis."""

from tasks.adapters.claims.redis_claims import RedisClaims

__all__ = ["RedisClaims"]
