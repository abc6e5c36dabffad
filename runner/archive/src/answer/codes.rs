//! The codes of stores, by what they mean. Pure data: Amazon S3, Azure Blob Storage, Google Cloud Storage and stores that are
//! compatible with them name these in their documentation.

/// No room is left, or a quota is reached.
pub(super) const FULL: &[&str] = &[
    "QuotaExceeded",
    "InsufficientStorage",
    "XMinioStorageFull",
    "XMinioAdminBucketQuotaExceeded",
    "BucketQuotaExceeded",
    "StorageQuotaExceeded",
    "storageQuotaExceeded",
    "UserQuotaExceeded",
    "CapacityExceeded",
];

/// The bucket is somewhere else.
pub(super) const ELSEWHERE: &[&str] = &[
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegionName",
    "PermanentRedirect",
    "TemporaryRedirect",
];

/// Google on too many requests.
pub(super) const TOO_MANY: &[&str] = &["rateLimitExceeded", "userRateLimitExceeded"];

/// Nobody may do anything with this account.
pub(super) const CLOSED: &[&str] =
    &["AccountIsDisabled", "AccountProblem", "AllAccessDisabled", "UserProjectAccountProblem", "accountDisabled"];

/// The credentials are none here.
pub(super) const UNACCEPTED: &[&str] = &[
    "ExpiredTokenException",
    "IDPRejectedClaim",
    "InvalidIdentityToken",
    "KeyBasedAuthenticationNotPermitted",
    "Unauthorized",
    "authError",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
];

/// Other refusals of who asks, or of what they may do.
pub(super) const DENIED: &[&str] = &[
    "AccessDenied",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "AuthorizationPermissionMismatch",
    "AuthorizationProtocolMismatch",
    "AuthorizationSourceIPMismatch",
    "ExpiredToken",
    "InsufficientAccountPermissions",
    "InvalidAccessKeyId",
    "InvalidAuthenticationInfo",
    "InvalidSecurity",
    "InvalidToken",
    "NoAuthenticationInformation",
    "NotSignedUp",
    "PublicAccessNotPermitted",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "SecondLevelDomainForbidden",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "XAdminUserNotFound",
    "accessDenied",
    "forbidden",
];
