(** B3's bound by the diameter: for n points in d dimensions [tr C <= D^2 k / (2 (k + 1))], [k = min(d, n - 1)].

    The diameter bound of n points (B.v) is the case [k = n - 1]. With more than d + 1 points there is a direction in the weights that keeps their
    sum and the mean; along it the trace is linear, so that the weights can move, without loss, until one of them is 0. *)

From Coq Require Import Reals Lra Lia Psatz.
From Coquelicot Require Import Coquelicot.
From Singdiffusion Require Import Base Mixture B.
Local Open Scope R_scope.

(** ** Leaving one out *)

Definition skip (j i : nat) : nat := if Nat.ltb i j then i else S i.

Lemma skip_lt n j i : (j <= n)%nat -> (i < n)%nat -> (skip j i < S n)%nat.
Proof. unfold skip. destruct (PeanoNat.Nat.ltb_spec i j); lia. Qed.

Lemma sumn_skip n j f : (j <= n)%nat -> sumn (S n) f = f j + sumn n (fun i => f (skip j i)).
Proof.
  induction n; intros Hj.
  - replace j with 0%nat by lia. simpl. ring.
  - destruct (PeanoNat.Nat.eq_dec j (S n)) as [->|Hne].
    + change (sumn (S (S n)) f) with (sumn (S n) f + f (S n)). rewrite (sumn_ext (S n) (fun i => f (skip (S n) i)) f); [ring|].
      intros i Hi. unfold skip. destruct (PeanoNat.Nat.ltb_spec i (S n)); [auto|lia].
    + change (sumn (S (S n)) f) with (sumn (S n) f + f (S n)). rewrite IHn by lia. simpl.
      replace (f (skip j n)) with (f (S n)); [ring|]. unfold skip. destruct (PeanoNat.Nat.ltb_spec n j); [lia|auto].
Qed.

(** ** More vectors than dimensions are linearly dependent. *)
Lemma dependent d : forall n (a : nat -> nat -> R), (d < n)%nat ->
  exists v, (exists i, (i < n)%nat /\ v i <> 0) /\ forall k, (k < d)%nat -> sumn n (fun i => v i * a i k) = 0.
Proof.
  induction d; intros n a Hn.
  - exists (fun _ => 1). split; [exists 0%nat; split; [auto|lra]|intros; lia].
  - assert (Hcase : (exists j, (j < n)%nat /\ a j d <> 0) \/ forall j, (j < n)%nat -> a j d = 0).
    { clear. induction n as [|n [(j & Hj & Hne)|H]]; [right; intros; lia|left; exists j; split; auto|].
      destruct (Req_dec (a n d) 0) as [Z|]; [|left; exists n; auto]. right. intros j Hj. destruct (PeanoNat.Nat.eq_dec j n) as [->|]; auto. apply H. lia. }
    destruct Hcase as [(j & Hj & Hne)|Hz].
    + destruct n as [|n]; [lia|]. destruct (IHd n (fun i k => a (skip j i) k - a (skip j i) d / a j d * a j k)) as (v & (i0 & Hi0 & Hv) & H); [lia|].
      set (c := - sumn n (fun i => v i * a (skip j i) d) / a j d).
      set (V := fun i => if Nat.eqb i j then c else v (if Nat.ltb i j then i else (i - 1)%nat)).
      assert (Vj : V j = c) by (unfold V; rewrite PeanoNat.Nat.eqb_refl; auto).
      assert (Vs : forall i, V (skip j i) = v i).
      { intros i. unfold V, skip. destruct (PeanoNat.Nat.ltb_spec i j) as [L|L].
        - destruct (PeanoNat.Nat.eqb_spec i j); [lia|]. destruct (PeanoNat.Nat.ltb_spec i j); [auto|lia].
        - destruct (PeanoNat.Nat.eqb_spec (S i) j); [lia|]. destruct (PeanoNat.Nat.ltb_spec (S i) j); [lia|]. f_equal. lia. }
      exists V. split; [exists (skip j i0); split; [apply skip_lt; lia|rewrite Vs; auto]|].
      intros k Hk. rewrite (sumn_skip n j) by lia. rewrite Vj, (sumn_ext n _ (fun i => v i * a (skip j i) k)) by (intros; rewrite Vs; auto).
      destruct (PeanoNat.Nat.eq_dec k d) as [->|Hkd]; [unfold c; field; auto|].
      specialize (H k ltac:(lia)). rewrite (sumn_ext n _ (fun i => v i * a (skip j i) k - a j k / a j d * (v i * a (skip j i) d))) in H by (intros; field; auto).
      rewrite sumn_minus, sumn_scal in H. unfold c. 
      replace (- sumn n (fun i => v i * a (skip j i) d) / a j d * a j k) with (- (a j k / a j d * sumn n (fun i => v i * a (skip j i) d))) by (field; auto). lra.
    + destruct (IHd n a) as (v & Hv & H); [lia|]. exists v. split; auto. intros k Hk.
      destruct (PeanoNat.Nat.eq_dec k d) as [->|]; [|apply H; lia]. apply sumn_zero. intros i Hi. rewrite Hz; auto. ring.
Qed.

(** A value below 0, or none *)
Lemma negative_or_none (v : nat -> R) n : (exists k, (k < n)%nat /\ v k < 0) \/ forall k, (k < n)%nat -> 0 <= v k.
Proof.
  induction n as [|n [(j & Hj & Hne)|H]]; [right; intros; lia|left; exists j; split; auto|].
  destruct (Rlt_le_dec (v n) 0) as [L|L]; [left; exists n; auto|]. right. intros j Hj. destruct (PeanoNat.Nat.eq_dec j n) as [->|]; auto. apply H. lia.
Qed.

(** How far weights can move along v before one of them is 0 *)
Lemma longest_move n (p v : nat -> R) : (forall i, (i < n)%nat -> 0 <= p i) -> (exists i, (i < n)%nat /\ v i < 0) ->
  exists t j, 0 <= t /\ (j < n)%nat /\ p j + t * v j = 0 /\ forall i, (i < n)%nat -> 0 <= p i + t * v i.
Proof.
  induction n; intros Hp (i & Hi & Hv); [lia|].
  assert (Last : v n < 0 -> p n + p n / - v n * v n = 0) by (intros; field; lra).
  destruct (negative_or_none v n) as [Hk|Hk].
  - destruct (IHn ltac:(auto) Hk) as (t & j & Ht & Hj & Hz & Ha). destruct (Rle_lt_dec 0 (p n + t * v n)) as [L|L].
    + exists t, j. repeat split; auto. intros k Hkn. destruct (PeanoNat.Nat.eq_dec k n) as [->|]; auto. apply Ha. lia.
    + assert (Hn : 0 <= p n) by auto. assert (Hvn : v n < 0) by nra. set (s := p n / - v n).
      assert (Hs : 0 <= s) by (apply Rdiv_le_0_compat; lra). assert (Hst : s <= t). { apply Rmult_le_reg_r with (- v n); [lra|]. unfold s. replace (p n / - v n * - v n) with (p n) by (field; lra). lra. }
      exists s, n. repeat split; auto. intros k Hkn. destruct (PeanoNat.Nat.eq_dec k n) as [->|]; [unfold s; rewrite Last; lra|].
      assert (0 <= p k) by auto. specialize (Ha k ltac:(lia)). destruct (Rle_lt_dec 0 (v k)); [|nra]. assert (0 <= s * v k) by (apply Rmult_le_pos; auto). lra.
  - assert (i = n) by (destruct (PeanoNat.Nat.eq_dec i n); auto; specialize (Hk i ltac:(lia)); lra). subst i.
    assert (Hn : 0 <= p n) by auto. exists (p n / - v n), n. assert (Hs : 0 <= p n / - v n) by (apply Rdiv_le_0_compat; lra).
    repeat split; auto. intros k Hkn. destruct (PeanoNat.Nat.eq_dec k n) as [->|]; [rewrite Last; lra|].
    assert (0 <= p k) by auto. specialize (Hk k ltac:(lia)). assert (0 <= p n / - v n * v k) by (apply Rmult_le_pos; auto). lra.
Qed.

(** ** One point fewer, and no smaller trace *)
Lemma drop d n p (y : nat -> vec) : weights (S n) p -> (d + 1 < S n)%nat ->
  exists q j, (j <= n)%nat /\ weights n (fun i => q (skip j i)) /\ trC d (S n) p y <= trC d n (fun i => q (skip j i)) (fun i => y (skip j i)).
Proof.
  intros Hw Hn. pose proof (proj1 Hw) as Hp. pose proof (proj2 Hw) as Hsum. set (N := S n) in *. set (e := fun i => sq d (xi N p y i)).
  destruct (dependent (S d) N (fun i k => if Nat.eqb k d then 1 else y i k)) as (v0 & Hv0 & H0); [lia|].
  assert (Hv : exists v, (exists i, (i < N)%nat /\ v i <> 0) /\ sumn N v = 0 /\ (forall k, (k < d)%nat -> sumn N (fun i => v i * y i k) = 0) /\ 0 <= sumn N (fun i => v i * e i)).
  { assert (S0 : sumn N v0 = 0).
    { rewrite <- (H0 d) by lia. apply sumn_ext. intros i _. rewrite PeanoNat.Nat.eqb_refl. ring. }
    assert (S1 : forall k, (k < d)%nat -> sumn N (fun i => v0 i * y i k) = 0).
    { intros k Hk. rewrite <- (H0 k) by lia. apply sumn_ext. intros i _. destruct (PeanoNat.Nat.eqb_spec k d); [lia|auto]. }
    destruct (Rle_lt_dec 0 (sumn N (fun i => v0 i * e i))) as [L|L]; [exists v0; auto|].
    exists (fun i => - v0 i). destruct Hv0 as (i & Hi & Hne). split; [exists i; split; auto; lra|]. split; [rewrite sumn_opp; lra|]. split.
    - intros k Hk. rewrite (sumn_ext N _ (fun i => - (v0 i * y i k))) by (intros; ring). rewrite sumn_opp, S1; auto. ring.
    - rewrite (sumn_ext N _ (fun i => - (v0 i * e i))) by (intros; ring). rewrite sumn_opp. lra. }
  destruct Hv as (v & (i0 & Hi0 & Hne) & Sv & Sy & Se).
  assert (Neg : exists i, (i < N)%nat /\ v i < 0).
  { destruct (Rlt_le_dec (v i0) 0); [exists i0; auto|].
    destruct (negative_or_none v N) as [|X]; auto. exfalso. assert (0 < sumn N v) by (apply sumn_pos; auto; exists i0; split; auto; lra). lra. }
  destruct (longest_move N p v Hp Neg) as (t & j & Ht & Hj & Hz & Ha). set (q := fun i => p i + t * v i).
  assert (Hjn : (j <= n)%nat) by (unfold N in Hj; lia). exists q, j. split; auto.
  assert (Sk : forall f, sumn n (fun i => q (skip j i) * f (skip j i)) = sumn N (fun i => q i * f i)).
  { intros f. unfold N. rewrite (sumn_skip n j (fun i => q i * f i)) by auto. unfold q at 2. rewrite Hz. ring. }
  assert (Sq : sumn N q = 1) by (unfold q; rewrite sumn_plus, sumn_scal, Sv, Hsum; ring).
  split.
  - split; [intros i Hi; apply Ha, skip_lt; auto|].
    pose proof (Sk (fun _ => 1)) as S1. rewrite <- Sq. rewrite (sumn_ext N q (fun i => q i * 1)) by (intros; ring). rewrite <- S1. apply sumn_ext. intros; ring.
  - assert (M : forall k, (k < d)%nat -> mean n (fun i => q (skip j i)) (fun i => y (skip j i)) k = mean N p y k).
    { intros k Hk. unfold mean, vsum, vscal. rewrite (Sk (fun i => y i k)). unfold q.
      rewrite (sumn_ext N _ (fun i => p i * y i k + t * (v i * y i k))) by (intros; ring). rewrite sumn_plus, sumn_scal, (Sy k Hk). ring. }
    assert (X : trC d n (fun i => q (skip j i)) (fun i => y (skip j i)) = sumn N (fun i => q i * e i)).
    { rewrite <- (Sk e). unfold trC. apply sumn_ext. intros i _. f_equal. unfold e, sq, dot. apply sumn_ext. intros k Hk. unfold xi, vminus. rewrite M by auto. ring. }
    rewrite X. unfold q. rewrite (sumn_ext N (fun i => (p i + t * v i) * e i) (fun i => p i * e i + t * (v i * e i))) by (intros; ring).
    rewrite sumn_plus, sumn_scal. assert (0 <= t * sumn N (fun i => v i * e i)) by (apply Rmult_le_pos; auto). change (trC d N p y) with (sumn N (fun i => p i * e i)). lra.
Qed.

(** ** Jung's constant *)
Theorem B3_jung d D : forall n p (y : nat -> vec), weights n p -> (forall i j, (i < n)%nat -> (j < n)%nat -> dist2 d (y i) (y j) <= D ^ 2) ->
  trC d n p y <= D ^ 2 * INR (Nat.min d (n - 1)) / (2 * (INR (Nat.min d (n - 1)) + 1)).
Proof.
  induction n; intros p y Hw HD; [destruct Hw as [_ H]; simpl in H; lra|].
  destruct (Compare_dec.le_lt_dec (S n) (d + 1)) as [L|L].
  - replace (Nat.min d (S n - 1)) with n by lia. pose proof (B3_diameter d (S n) p y Hw D HD) as H. rewrite S_INR in H.
    replace (INR n + 1 - 1) with (INR n) in H by ring. exact H.
  - destruct (drop d n p y Hw L) as (q & j & Hj & Hq & Hle). eapply Rle_trans; [exact Hle|].
    replace (Nat.min d (S n - 1)) with (Nat.min d (n - 1)) by lia. apply IHn; auto. intros i k Hi Hk. apply HD; apply skip_lt; auto.
Qed.
