//! Error bodies as stores document them, and what becomes of each.

use super::*;

struct Case {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: &'static str,
    code: Code,
    /// Whether the library sends the request again.
    again: bool,
    says: &'static str,
}

fn read(asked: Asked<'_>, case: &Case) -> Answer {
    let header = |name: &str| case.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let answer = Answer::read(asked, case.status, header, case.body.as_bytes());
    // As it comes back out of the library's message.
    let message = format!("Generic S3 error: Server returned non-2xx status code: 400: {}: and more", answer.mark());
    assert_eq!(Answer::find(&message).as_ref(), Some(&answer));
    answer
}

const fn xml(status: u16, body: &'static str, code: Code, again: bool, says: &'static str) -> Case {
    Case { status, headers: &[], body, code, again, says }
}

const CASES: &[Case] = &[
    // S3
    xml(
        403,
        "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code><Message>Access Denied</Message><RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId></Error>",
        Code::StoreDenied,
        false,
        "the store answers 403 AccessDenied (request 4442587FB7D0A2F9): the credentials lack a right",
    ),
    xml(
        403,
        "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we calculated does not match</Message><AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 20260131</StringToSign><SignatureProvided>abc</SignatureProvided><CanonicalRequest>GET / host:x</CanonicalRequest></Error>",
        Code::StoreDenied,
        false,
        "403 SignatureDoesNotMatch: the secret key is not the one of this access key id",
    ),
    xml(
        403,
        "<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id AKIAIOSFODNN7EXAMPLE does not exist</Message></Error>",
        Code::StoreDenied,
        false,
        "does not know this access key id",
    ),
    xml(
        400,
        "<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>",
        Code::StoreDenied,
        false,
        "bring a new one",
    ),
    xml(
        400,
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>",
        Code::StoreRefused,
        false,
        "the bucket is in region eu-west-1; set storage.region to it",
    ),
    Case {
        status: 301,
        headers: &[("x-amz-bucket-region", "eu-central-1")],
        body: "",
        code: Code::StoreRefused,
        again: false,
        says: "in region eu-central-1",
    },
    xml(
        307,
        "<Error><Code>TemporaryRedirect</Code><Endpoint>b.s3-eu.example</Endpoint></Error>",
        Code::StoreRefused,
        false,
        "the bucket is at b.s3-eu.example; correct storage.region or storage.endpoint",
    ),
    xml(
        404,
        "<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message><BucketName>b</BucketName></Error>",
        Code::StoreMissing,
        false,
        "create it, or correct the name",
    ),
    xml(
        404,
        "<Error><Code>NoSuchUpload</Code><Message>The specified multipart upload does not exist.</Message><UploadId>VXBsb2FkIElE</UploadId></Error>",
        Code::StoreUnreachable,
        false,
        "the parts of this upload are gone",
    ),
    xml(
        400,
        "<Error><Code>RequestTimeout</Code><Message>Your socket connection to the server was not read from</Message></Error>",
        Code::StoreUnreachable,
        true,
        "400 RequestTimeout: Your socket",
    ),
    xml(
        409,
        "<Error><Code>OperationAborted</Code><Message>A conflicting conditional operation is in progress</Message></Error>",
        Code::StoreUnreachable,
        true,
        "409 OperationAborted",
    ),
    xml(
        503,
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>",
        Code::StoreUnreachable,
        true,
        "503 SlowDown: Please reduce",
    ),
    xml(429, "", Code::StoreUnreachable, true, "the store answers 429"),
    xml(
        501,
        "<Error><Code>NotImplemented</Code><Message>A header you provided implies functionality that is not implemented.</Message></Error>",
        Code::StoreRefused,
        false,
        "it does not offer this kind of request",
    ),
    xml(
        400,
        "<Error><Code>InvalidRequest</Code><Message>Missing required header</Message></Error>",
        Code::StoreRefused,
        false,
        "400 InvalidRequest: Missing required header",
    ),
    xml(
        403,
        "<Error><Code>RequestTimeTooSkewed</Code><Message>The difference is too large.</Message><RequestTime>20260131T091500Z</RequestTime><ServerTime>2026-01-31T08:00:00Z</ServerTime></Error>",
        Code::StoreDenied,
        false,
        "clock is 4500 s ahead of the store's; set the clock",
    ),
    Case {
        status: 400,
        headers: &[("x-amz-bucket-region", "eu-west-1"), ("x-amz-request-id", "TX8")],
        body: "",
        code: Code::StoreRefused,
        again: false,
        says: "the store answers 400 (request TX8): the bucket is in region eu-west-1; set storage.region to it",
    },
    xml(
        400,
        "<Error><Code>IllegalLocationConstraintException</Code><Message>The eu-west-1 location constraint is incompatible</Message></Error>",
        Code::StoreRefused,
        false,
        "correct storage.region or storage.endpoint",
    ),
    xml(
        403,
        "<Error><Code>AccessDenied</Code><Message>User: arn:aws:iam::123456789012:user/backup is not authorized to perform: s3:PutObject on resource: arn because no identity-based policy allows it</Message></Error>",
        Code::StoreDenied,
        false,
        "403 AccessDenied: the credentials lack the right s3:PutObject",
    ),
    xml(
        400,
        "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidIdentityToken</Code><Message>No OpenIDConnect provider found</Message></Error><RequestId>c6104cbe</RequestId></ErrorResponse>",
        Code::StoreDenied,
        false,
        "400 InvalidIdentityToken (request c6104cbe): the store does not accept the credentials",
    ),
    xml(
        403,
        "<Error><Code>AllAccessDisabled</Code><Message>All access to this object has been disabled.</Message></Error>",
        Code::StoreDenied,
        false,
        "its owner must mend it",
    ),
    // Compatible stores
    // Garage
    xml(
        400,
        "<Error><Code>AuthorizationHeaderMalformed</Code><Message>Authorization header malformed, unexpected scope: 20260131/us-east-1/s3/aws4_request</Message><Resource>/b</Resource><Region>garage</Region></Error>",
        Code::StoreRefused,
        false,
        "the bucket is in region garage; set storage.region to it",
    ),
    // Ceph
    xml(
        403,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>SignatureDoesNotMatch</Code><RequestId>tx000007f-0063c2-default</RequestId><HostId>x</HostId></Error>",
        Code::StoreDenied,
        false,
        "403 SignatureDoesNotMatch (request tx000007f-0063c2-default): the secret key is not",
    ),
    // Backblaze B2
    xml(
        403,
        "<Error><Code>AccessDenied</Code><Message>Transaction cap exceeded, see the Caps &amp; Alerts page to increase your cap.</Message></Error>",
        Code::StoreFull,
        false,
        "a quota is reached",
    ),
    xml(
        400,
        "<Error><Code>InvalidRequest</Code><Message>The key 'K004aBcDeFgHiJkLmNoPq12' is not valid</Message></Error>",
        Code::StoreRefused,
        false,
        "400 InvalidRequest: The key *** is not valid",
    ),
    // Cloudflare R2
    xml(
        400,
        "<Error><Code>InvalidRegionName</Code><Message>The region name 'eu-1' is not valid. Must be one of: wnam, enam, weur, eeur, apac, auto</Message></Error>",
        Code::StoreRefused,
        false,
        "correct storage.region",
    ),
    xml(
        401,
        "<Error><Code>Unauthorized</Code><Message>Unauthorized</Message></Error>",
        Code::StoreDenied,
        false,
        "401 Unauthorized: the store does not accept the credentials",
    ),
    // Alibaba OSS
    xml(
        403,
        "<Error><Code>AccessDenied</Code><Message>The bucket you are attempting to access must be addressed using the specified endpoint.</Message><RequestId>5C3D</RequestId><HostId>b.example</HostId><Bucket>b</Bucket><Endpoint>oss-cn-hangzhou.example</Endpoint></Error>",
        Code::StoreDenied,
        false,
        "(request 5C3D): the bucket is at oss-cn-hangzhou.example",
    ),
    xml(
        403,
        "<Error><Code>SecondLevelDomainForbidden</Code><Message>Please use virtual hosted style to access.</Message></Error>",
        Code::StoreDenied,
        false,
        "set storage.pathStyle: false",
    ),
    // MinIO and those that copy it
    xml(
        507,
        "<Error><Code>XMinioStorageFull</Code><Message>Storage backend has reached its minimum free drive threshold.</Message></Error>",
        Code::StoreFull,
        false,
        "no room is left",
    ),
    xml(
        403,
        "<Error><Code>QuotaExceeded</Code><BucketName>b</BucketName><RequestId>tx0</RequestId></Error>",
        Code::StoreFull,
        false,
        "403 QuotaExceeded (request tx0): no room is left, or a quota is reached",
    ),
    xml(
        400,
        "<Error><Code>XMinioAdminBucketQuotaExceeded</Code><Message>Bucket quota exceeded</Message></Error>",
        Code::StoreFull,
        false,
        "a quota is reached",
    ),
    xml(
        404,
        "<Error><Code>XAdminUserNotFound</Code><Message>no</Message></Error>",
        Code::StoreDenied,
        false,
        "does not know this access key id",
    ),
    // Azure
    Case {
        status: 403,
        headers: &[("x-ms-error-code", "AuthenticationFailed"), ("x-ms-request-id", "7e0f")],
        body: "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>AuthenticationFailed</Code><Message>Server failed to authenticate the request.\nRequestId:7e0f\nTime:2026-01-31T08:00:00Z</Message><AuthenticationErrorDetail>The MAC signature found in the HTTP request 'c2ln' is not the same</AuthenticationErrorDetail></Error>",
        code: Code::StoreDenied,
        again: false,
        says: "403 AuthenticationFailed (request 7e0f): the account key, signature or token is wrong or over",
    },
    Case {
        status: 404,
        headers: &[("x-ms-error-code", "ContainerNotFound")],
        body: "",
        code: Code::StoreMissing,
        again: false,
        says: "404 ContainerNotFound",
    },
    Case {
        status: 403,
        headers: &[("x-ms-error-code", "AuthorizationPermissionMismatch")],
        body: "",
        code: Code::StoreDenied,
        again: false,
        says: "lack a right",
    },
    Case {
        status: 403,
        headers: &[("x-ms-error-code", "AuthorizationFailure"), ("x-ms-request-id", "a1")],
        body: "",
        code: Code::StoreDenied,
        again: false,
        says: "403 AuthorizationFailure (request a1): the account's network rules",
    },
    Case {
        status: 403,
        headers: &[("x-ms-error-code", "KeyBasedAuthenticationNotPermitted")],
        body: "",
        code: Code::StoreDenied,
        again: false,
        says: "the store does not accept the credentials",
    },
    Case {
        status: 503,
        headers: &[("x-ms-error-code", "ServerBusy")],
        body: "",
        code: Code::StoreUnreachable,
        again: true,
        says: "503 ServerBusy",
    },
    Case {
        status: 409,
        headers: &[("x-ms-error-code", "BlobImmutableDueToPolicy")],
        body: "",
        code: Code::StoreRefused,
        again: false,
        says: "409 BlobImmutableDueToPolicy",
    },
    xml(
        401,
        "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid client secret provided.\"}",
        Code::StoreDenied,
        false,
        "401 invalid_client: the store does not accept the credentials",
    ),
    xml(
        400,
        "{\"error\":\"invalid_request\",\"error_description\":\"AADSTS90002: Tenant 'x' not found. Check to make sure you have the correct tenant ID.\\r\\nTrace ID: 1\"}",
        Code::StoreRefused,
        false,
        "400 invalid_request: AADSTS90002: Tenant 'x' not found.",
    ),
    // Google
    xml(
        403,
        "{\"error\":{\"code\":403,\"message\":\"x does not have storage.objects.create access\",\"errors\":[{\"reason\":\"forbidden\"}]}}",
        Code::StoreDenied,
        false,
        "403 forbidden: the credentials lack the right storage.objects.create",
    ),
    xml(
        403,
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>AccessDenied</Code><Message>Access denied.</Message><Details>backup@p.iam.example does not have storage.objects.list access to the Google Cloud Storage bucket.</Details></Error>",
        Code::StoreDenied,
        false,
        "403 AccessDenied: the credentials lack the right storage.objects.list",
    ),
    xml(
        400,
        "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT Signature.\"}",
        Code::StoreDenied,
        false,
        "400 invalid_grant: the store does not accept the credentials",
    ),
    xml(
        403,
        "{\"error\":{\"code\":403,\"message\":\"Rate Limit Exceeded\",\"errors\":[{\"reason\":\"rateLimitExceeded\"}]}}",
        Code::StoreUnreachable,
        true,
        "403 rateLimitExceeded: Rate Limit Exceeded",
    ),
    xml(
        403,
        "{\"error\":{\"code\":403,\"message\":\"The billing account for the owning project is disabled in state absent\",\"errors\":[{\"reason\":\"accountDisabled\"}]}}",
        Code::StoreDenied,
        false,
        "without billing; its owner must mend it",
    ),
    xml(
        404,
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist.</Message></Error>",
        Code::StoreMissing,
        false,
        "404 NoSuchBucket",
    ),
    xml(
        401,
        "{\"error\":{\"code\":401,\"message\":\"Invalid Credentials\",\"errors\":[{\"reason\":\"authError\"}]}}",
        Code::StoreDenied,
        false,
        "401 authError: the store does not accept the credentials",
    ),
    // Something before the store
    xml(
        502,
        "<html><head><title>502 Bad Gateway</title></head><body><center><h1>502 Bad Gateway</h1></center></body></html>",
        Code::StoreUnreachable,
        true,
        "the store answers 502",
    ),
    xml(
        403,
        "<!DOCTYPE html><html><body>Blocked by policy AKIAIOSFODNN7EXAMPLE</body></html>",
        Code::StoreDenied,
        false,
        "the store answers 403: the credentials lack a right",
    ),
    xml(
        407,
        "<html>proxy</html>",
        Code::StoreRefused,
        false,
        "the store answers 407: a proxy before the store asks for a login",
    ),
];

#[test]
fn refusals_of_known_stores_become_one_line_with_the_right_class() {
    for case in CASES {
        let answer = read(Asked::default(), case);
        let line = answer.line();
        assert!(line.contains(case.says), "{line}");
        assert_eq!(answer.class(), case.code, "{line}");
        let library = answer.library_status();
        assert_eq!(matches!(library, 408 | 429 | 500..=599), case.again, "{line}");
        assert!(!(300..400).contains(&library), "{line}");
        for never in ["<", ">", "AKIA", "StringToSign", "AWS4", "html", "c2ln", "\n"] {
            assert!(!line.contains(never), "{never:?} in {line}");
        }
        assert!(line.len() < 300, "{line}");
    }
}

#[test]
fn a_create_that_a_store_does_not_know_is_told_as_that() {
    let asked = Asked { conditional: true, date: None };
    for status in [400, 405, 501] {
        let answer = read(asked, &xml(status, "", Code::StoreRefused, false, ""));
        assert!(answer.line().contains("If-None-Match"), "{}", answer.line());
        assert_eq!((answer.class(), answer.library_status() < 500), (Code::StoreRefused, true));
    }
    // A conflict of creates is settled by reading, so the library must not send it again.
    assert_eq!(
        read(asked, &xml(409, "<Code>ConditionalRequestConflict</Code>", Code::StoreRefused, false, ""))
            .library_status(),
        409
    );
}

#[test]
fn clocks_are_compared_by_what_both_sides_said() {
    let asked = Asked { conditional: false, date: Some("20260131T080000Z") };
    let case = Case {
        status: 403,
        headers: &[("date", "Sat, 31 Jan 2026 08:20:00 GMT")],
        body: "<Error><Code>RequestTimeTooSkewed</Code></Error>",
        code: Code::StoreDenied,
        again: false,
        says: "",
    };
    assert!(read(asked, &case).line().contains("1200 s behind"), "{}", read(asked, &case).line());
}

#[test]
fn a_body_that_was_cut_or_is_no_text_is_no_failure_of_its_own() {
    for body in ["<Error><Code>NoSuch", "", "\u{0}\u{1}"] {
        let answer = Answer::read(Asked::default(), 503, |_| None, body.as_bytes());
        assert_eq!(answer.line(), "the store answers 503");
    }
    assert!(Answer::find("no answer in here").is_none() && Answer::find("store-answer:{cut").is_none());
}
