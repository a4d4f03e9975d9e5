"""Every error code that a call of ours may answer, and what we make of it.

From the service models of botocore and from each service's "Common errors" page; `tests/unit/aws/test_error_codes.py`
holds this table against the models, call by call. Some rules behind it:

- `NotFound`, `Conflict` and `AlreadyExists` are answers that adapters act upon ("no such review", "it has a copy
  already"), so a code is one of these only where it says so of the thing that was asked for. A table, bucket, queue or
  key that is missing is a broken deployment: `Unavailable`.
- `InvalidInput` is never tried again by the state machine: no code is one that may pass by itself.
- What lost a race before anything was decided (`TransactionConflictException`, `ConditionalRequestConflict`) says
  nothing about the condition that was asked: it is tried again, and is `Unavailable` in the end, never `Conflict`.
"""

from __future__ import annotations

from typing import Final

from promptlane.domain.errors import (
    AlreadyExists,
    Conflict,
    InvalidInput,
    NotFound,
    PromptlaneError,
    Throttled,
    Unauthorized,
    Unavailable,
)

_TABLE: Final[dict[type[PromptlaneError], str]] = {
    # What was asked for is not there.
    NotFound: """
        ResourceNotFoundException ResourceNotFound NotFoundException NotFound NoSuchKey NoSuchVersion 404
        ParameterNotFound ParameterVersionNotFound ExecutionDoesNotExist TrailNotFoundException
    """,
    # The condition of a write did not hold, or somebody else just changed the thing.
    Conflict: """
        ConditionalCheckFailedException PreconditionFailed ConflictException ParameterAlreadyExists
    """,
    # Of its name there is one already.
    AlreadyExists: """
        ExecutionAlreadyExists
    """,
    # Will be refused again, however often it is sent.
    InvalidInput: """
        ValidationException ValidationError InvalidParameterValue InvalidParameterValueException
        InvalidParameter InvalidParameterException ParameterValueInvalid InvalidParameterCombination
        MissingParameter InvalidRequest InvalidRequestException InvalidRequestContentException
        InvalidArgument InvalidName InvalidArn InvalidArnException InvalidAttributeName
        InvalidExecutionInput InvalidOutput InvalidToken InvalidRange
        InvalidNextToken InvalidNextTokenException InvalidMaxResultsException InvalidTimeRangeException
        InvalidLookupAttributesException InvalidEventCategoryException UnsupportedOperationException
        InvalidFormat InvalidFilterKey InvalidFilterOption InvalidFilterValue MalformedQueryException
        HierarchyLevelLimitExceededException HierarchyTypeMismatchException IncompatiblePolicyException
        InvalidAllowedPatternException InvalidPolicyAttributeException InvalidPolicyTypeException
        ParameterPatternMismatchException UnsupportedParameterType InvalidKeyUsageException
        InvalidGrantTokenException InvalidCiphertextException IncorrectKeyException
        InvalidMessageContents UnsupportedOperation MalformedQueryString
        KeyTooLongError MetadataTooLarge EntityTooLarge RequestTooLargeException
        SerializedRequestEntityTooLargeException UnsupportedMediaTypeException SerializationException
        InvalidWriteOffset TooManyParts EncryptionTypeMismatch BadDigest ReplayLimitExceeded
        IdempotentParameterMismatchException ItemCollectionSizeLimitExceededException
        FilterPolicyLimitExceeded KMSInvalidMacException DryRunOperationException InvalidAction
        InvalidQueryParameter UnknownOperationException ModeNotSupportedException InvalidDigest
        RequestEntityTooLargeException MalformedHttpRequestException MethodNotAllowed
        DurableExecutionAlreadyStartedException TaskDoesNotExist TaskTimedOut MissingAction
        InvalidTrailNameException CloudTrailARNInvalidException InvalidEventSelectorsException
        InvalidHomeRegionException
    """,
    # Who asks may not, by IAM, by a resource's or a key's policy; or the signature is none.
    Unauthorized: """
        AccessDeniedException AccessDenied AuthorizationError OperationNotPermittedException 403
        KMSAccessDenied KmsAccessDenied KMSAccessDeniedException KmsAccessDeniedException KMSOptInRequired
        KmsOptInRequired NotAuthorized OptInRequired AllAccessDisabled UnrecognizedClientException
        InvalidClientTokenId InvalidAccessKeyId MissingAuthenticationToken
        MissingAuthenticationTokenException IncompleteSignature IncompleteSignatureException
        SignatureDoesNotMatch InvalidSignatureException RequestExpired RequestTimeTooSkewed
        AuthorizationHeaderMalformed ExpiredToken ExpiredTokenException InvalidSecurity
        InsufficientDependencyServiceAccessPermissionException NotOrganizationMasterAccountException
    """,
    # A rate or a quota: later it may go.
    Throttled: """
        ThrottlingException Throttling Throttled TooManyRequestsException SlowDown
        ProvisionedThroughputExceededException RequestLimitExceeded RequestThrottled LimitExceededException
        LimitExceededFault ServiceQuotaExceededException LimitExceeded ExecutionLimitExceeded TooManyUpdates
        KMSThrottling KmsThrottled KmsThrottlingException SubscriptionLimitExceeded ParameterLimitExceeded
        ParameterMaxVersionLimitExceeded PoliciesLimitExceededException EC2ThrottledException
        ModelNotReadyException OverLimit ENILimitReachedException SubnetIPAddressLimitReachedException
    """,
    # The service, for a moment or until somebody mends the deployment.
    Unavailable: """
        InternalError InternalException InternalFailure InternalServerError InternalServerException
        InternalServiceError ServiceException ServiceUnavailable ServiceUnavailableException 500 502 503 504
        RequestTimeout RequestTimeoutException KMSInternalException DependencyTimeoutException
        ModelTimeoutException ModelErrorException TransactionConflictException
        TransactionInProgressException TransactionCanceledException ReplicatedWriteConflictException
        ConditionalRequestConflict RequestAbortedException XAmzContentSHA256Mismatch TemporaryRedirect
        ModelStreamErrorException OperationAborted ResourceConflictException ResourceNotReadyException
        NoSuchBucket PermanentRedirect InvalidObjectState QueueDoesNotExist
        AWS.SimpleQueueService.NonExistentQueue QueueDeletedRecently InvalidAddress StateMachineDoesNotExist
        StateMachineDeleting EndpointDisabled PlatformApplicationDisabled KMSDisabled KmsDisabled
        KMSDisabledException DisabledException KMSInvalidState KmsInvalidState KMSInvalidStateException
        KmsInvalidStateException KMSNotFound KmsNotFound KMSNotFoundException KMS.NotFoundException
        KMS.DisabledException KMS.KMSInvalidStateException InvalidKeyId KmsInvalidKeyUsage
        KeyUnavailableException DecryptionFailure CodeArtifactUserDeletedException
        CodeArtifactUserFailedException CodeArtifactUserPendingException EC2AccessDeniedException
        EC2UnexpectedException EFSIOException EFSMountConnectivityException EFSMountFailureException
        EFSMountTimeoutException ENINotReadyException InvalidRuntimeException
        InvalidSecurityGroupIDException InvalidSubnetIDException InvalidZipFileException
        NoPublishedVersionException RecursiveInvocationException S3FilesMountConnectivityException
        S3FilesMountFailureException S3FilesMountTimeoutException SnapStartException
        SnapStartNotReadyException SnapStartRegenerationFailureException SnapStartTimeoutException
        NoManagementAccountSLRExistsException
    """,
}

ERROR_CODES: Final[dict[str, type[PromptlaneError]]] = {
    code: error for error, codes in _TABLE.items() for code in codes.split()
}

AGAIN: Final = frozenset(
    {
        "TransactionConflictException",
        "TransactionInProgressException",
        "ReplicatedWriteConflictException",
        "ConditionalRequestConflict",
        "OperationAborted",
        "KMSThrottling",
        "KmsThrottled",
        "KmsThrottlingException",
        "Throttled",
        "TooManyUpdates",
        "ResourceConflictException",
        "CodeArtifactUserPendingException",
        "SnapStartNotReadyException",
    }
)
"""Nothing was done, and a moment later it may be: tried again at once, beside what the SDK tries again by itself."""

CANCELLED_AGAIN: Final = frozenset(
    {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded", "RequestLimitExceeded"}
)
"""Reasons for which DynamoDB cancels a transaction that may go through a moment later."""
